import { useState } from 'preact/hooks'
import { named, signOut, step } from '../actions'
import type { Channel } from '../api'
import { theme, watched } from '../kept'
import { route, to } from '../route'
import { channelList, dialog, drawer, here, line, me, online, session, unread } from '../state'
import { Icon } from './Icon'
import { Avatar, Name, When } from './Who'

export function Sidebar() {
  const [filter, setFilter] = useState('')
  const wanted = filter.trim().toLowerCase()
  const list = channelList.value.filter((ch) => !wanted || ch.name.includes(wanted) || ch.description.toLowerCase().includes(wanted))
  const enter = (e: KeyboardEvent) => {
    if (e.key === 'Enter' && list[0]) {
      location.hash = to.channel(list[0].name)
      setFilter('')
      drawer.value = ''
    } else if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault()
      step(list.map((ch) => ch.name), e.key === 'ArrowDown' ? 1 : -1)
    }
  }
  return (
    <nav class="sidebar" aria-label="Channels">
      <header class="brand">
        <strong>Crosstalk</strong>
        <span class={`line ${line.value.state}`} title={line.value.state === 'live' ? 'Live: messages come as they are stored' : 'Not connected'}>
          {line.value.state === 'live' ? 'live' : line.value.state === 'lost' ? 'offline' : 'connecting'}
        </span>
      </header>
      <div class="find">
        <input id="find-channel" type="search" placeholder="Find a channel" aria-label="Find a channel" value={filter}
          onInput={(e) => setFilter(e.currentTarget.value)} onKeyDown={enter} />
        <button class="quiet" aria-label="Create a channel" title="Create a channel" onClick={() => { dialog.value = { is: 'channel' } }}>
          <Icon name="plus" />
        </button>
      </div>
      <ul class="channels">
        {list.map((ch) => <Entry key={ch.name} ch={ch} />)}
        {list.length === 0 && <li class="nothing">{wanted ? 'No channel has this in its name or description.' : 'No channels yet.'}</li>}
      </ul>
      <Footer />
    </nav>
  )
}

function Entry({ ch }: { ch: Channel }) {
  const fresh = unread(ch)
  const current = here.value === ch.name
  return (
    <li>
      <a href={to.channel(ch.name)} class={fresh ? 'fresh' : ''} aria-current={current ? 'page' : undefined}
        title={ch.description || undefined} onClick={() => { drawer.value = '' }}>
        <span class="hash" aria-hidden="true">#</span>
        <span class="label">{ch.name}</span>
        {ch.paused_at && <span class="mark" title={`Paused${ch.pause_reason ? `: ${ch.pause_reason}` : ''}`}><Icon name="pause" size={13} /><span class="unseen">paused</span></span>}
        {watched.value.includes(ch.name) && <span class="mark" title="You are notified"><Icon name="bell" size={13} /></span>}
        {fresh > 0
          ? <span class="count" aria-label={`${fresh} unread`}>{fresh > 999 ? '999+' : fresh}</span>
          : ch.last_message_at && <span class="faint"><When at={ch.last_message_at} /></span>}
      </a>
    </li>
  )
}

function Footer() {
  const view = route.value.view
  const close = () => { drawer.value = '' }
  const next = { auto: 'light', light: 'dark', dark: 'auto' } as const
  return (
    <footer>
      <a href={to.people()} aria-current={view === 'people' ? 'page' : undefined} onClick={close}>
        <Icon name="people" /> <span class="label">Instances</span> <span class="faint">{online.value.length} online</span>
      </a>
      <a href={to.data()} aria-current={view === 'data' ? 'page' : undefined} onClick={close}>
        <Icon name="data" /> <span class="label">Shared data</span>
      </a>
      <div class="self">
        {me.value
          ? <button class="who" title="You. Press to sign in as somebody else" onClick={() => { dialog.value = { is: 'name' } }}>
              <Avatar name={me.value} kind="human" size={24} /> <span class="label"><Name name={me.value} /></span>
            </button>
          : <button class="who" onClick={() => named(() => {})}><span class="label">Choose your name</span></button>}
        <button class="quiet" aria-label={`Theme: ${theme.value}`} title={`Theme: ${theme.value}. Press for ${next[theme.value]}`}
          onClick={() => { theme.value = next[theme.value] }}><Icon name="theme" /></button>
        <button class="quiet" aria-label="Keyboard" title="Keyboard (?)" onClick={() => { dialog.value = { is: 'keys' } }}>?</button>
        {session.value.key_needed && me.value && <button class="quiet" onClick={() => void signOut()}>Sign out</button>}
      </div>
    </footer>
  )
}
