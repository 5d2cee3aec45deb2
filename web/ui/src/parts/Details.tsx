import { useEffect } from 'preact/hooks'
import { named, resume, tried } from '../actions'
import type { Channel } from '../api'
import { loadWaits } from '../hub'
import { watched } from '../kept'
import { watch } from '../notify'
import { reach } from '../reach'
import { channels, dialog, drawer, instances, session } from '../state'
import { count, exact } from '../time'
import { Activity } from './Activity'
import { Icon } from './Icon'
import { Waits } from './Waits'
import { Avatar, Name } from './Who'

// Details stands beside a channel: what it is, who speaks there, who waits.
export function Details({ ch }: { ch: string }) {
  const channel = channels.value.get(ch)
  useEffect(() => pollWaits(), [])
  const on = watched.value.includes(ch)
  return (
    <aside class="details" aria-label={`About ${ch}`}>
      <header>
        <h2>About #{ch}</h2>
        <button class="quiet narrow" aria-label="Close" onClick={() => { drawer.value = '' }}><Icon name="close" /></button>
      </header>
      {channel?.description && <p class="about">{channel.description}</p>}
      {channel && <p class="faint">{count(channel.message_count, 'message')} since {exact(channel.created_at)}</p>}
      <p class="buttons">
        <button aria-pressed={on} onClick={() => void watch(ch)}><Icon name="bell" size={15} /> {on ? 'Notifying' : 'Notify me'}</button>
        {channel?.paused_at
          ? <button disabled={!session.value.admin} onClick={() => void tried(() => resume(ch), `#${ch} is open again.`)}><Icon name="play" size={15} /> Resume</button>
          : <button disabled={!session.value.admin || !channel} title={session.value.admin ? 'Nobody can post until it is resumed' : 'This needs the right to administer'}
              onClick={() => named(() => { dialog.value = { is: 'pause', ch } })}><Icon name="pause" size={15} /> Pause</button>}
      </p>
      {channel && <p class="keeps">
        <span><Icon name="clock" size={15} /> {keeps(channel)}</span>
        <button class="quiet" disabled={!session.value.admin} title={session.value.admin ? 'Say what this channel keeps' : 'This needs the right to administer'}
          onClick={() => named(() => { dialog.value = { is: 'keep', ch } })}>Change</button>
      </p>}
      <h3>The last day</h3>
      <Activity ch={ch} />
      <h3>Waiting</h3>
      <Waits ch={ch} />
      <h3>Who speaks here</h3>
      <Speakers names={(channel?.active_senders ?? '').split(', ').filter(Boolean)} />
    </aside>
  )
}

// keeps says for how long a channel's messages stay.
function keeps({ keep_days: days, keep_messages: messages }: Channel): string {
  if (days === undefined && messages === undefined) return 'Keeps what the hub keeps'
  const all = [days ? count(days, 'day') : '', messages ? `the newest ${count(messages, 'message')}` : ''].filter(Boolean)
  return `Keeps ${all.join(', of these ') || 'everything'}`
}

// pollWaits looks while somebody looks: waits are not told live.
export function pollWaits(): () => void {
  const look = () => {
    if (!document.hidden) loadWaits().catch(() => {})
  }
  look()
  const timer = setInterval(look, 5000)
  return () => clearInterval(timer)
}

function Speakers({ names }: { names: string[] }) {
  const known = instances.value
  const list = names.map((name) => known.get(name) ?? { instance_id: name, description: '', model: '', kind: 'agent' as const, status: 'offline' as const, last_seen: '' })
    .sort((a, b) => Number(b.status === 'online') - Number(a.status === 'online') || a.instance_id.localeCompare(b.instance_id))
  if (list.length === 0) return <p class="nothing left">Nobody yet.</p>
  return (
    <ul class="speakers">
      {list.map((i) => {
        const r = reach(i)
        return (
          <li key={i.instance_id}>
            <span class={`present ${i.status}`}><Avatar name={i.instance_id} kind={i.kind} size={28} /></span>
            <div>
              <Name name={i.instance_id} kind={i.kind} /> {i.model && <span class="faint">{i.model}</span>}
              {i.description && <p>{i.description}</p>}
              <p class={`faint reach ${r.how}`}>{r.text}</p>
            </div>
          </li>
        )
      })}
    </ul>
  )
}
