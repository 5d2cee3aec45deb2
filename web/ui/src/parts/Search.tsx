import { useEffect, useRef, useState } from 'preact/hooks'
import { api, type Message as M } from '../api'
import { words } from '../actions'
import { go, to } from '../route'
import { channelList, drawer } from '../state'
import { glance, plainly } from '../text'
import { count } from '../time'
import { Icon } from './Icon'
import { Avatar, Name, When } from './Who'

// SearchBox turns what is typed into an address at once; the page behind it is Search.
export function SearchBox({ q, ch }: { q: string; ch: string }) {
  return (
    <label class="searchbox">
      <Icon name="search" size={16} />
      <input id="search" type="search" value={q} placeholder="Search" aria-label="Search messages" autofocus={q !== ''}
        onInput={(e) => go(to.search(e.currentTarget.value, ch), q !== '')} />
    </label>
  )
}

export function Search({ q, ch }: { q: string; ch: string }) {
  const [found, setFound] = useState<M[] | null>(null)
  const [error, setError] = useState('')
  const [everywhere, setEverywhere] = useState(true)
  const box = useRef<HTMLDivElement>(null)
  const scope = everywhere ? '' : ch

  useEffect(() => {
    const input = box.current?.querySelector('input')
    input?.focus()
    input?.setSelectionRange(q.length, q.length)
  }, [])
  useEffect(() => {
    if (!q.trim()) {
      setFound(null)
      return
    }
    const abort = new AbortController()
    const timer = setTimeout(async () => {
      try {
        setFound((await api.search(q, scope, abort.signal)).messages)
        setError('')
      } catch (e) {
        if (!abort.signal.aborted) setError(words(e))
      }
    }, 120)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [q, scope])

  const wanted = q.trim().toLowerCase().replace(/^#/, '')
  const names = wanted ? channelList.value.filter((c) => c.name.includes(wanted) || c.description.toLowerCase().includes(wanted)).slice(0, 8) : []
  return (
    <section class="stream" aria-label="Search">
      <header class="head" ref={box}>
        <button class="quiet narrow" aria-label="Channels" onClick={() => { drawer.value = 'left' }}><Icon name="menu" /></button>
        <SearchBox q={q} ch={ch} />
        {ch && (
          <label class="check"><input type="checkbox" checked={!everywhere} onChange={(e) => setEverywhere(!e.currentTarget.checked)} /> only in #{ch}</label>
        )}
        <a class="button quiet" href={ch ? to.channel(ch) : '#/'} aria-label="Close the search"><Icon name="close" /></a>
      </header>
      <div class="scroll">
        <div class="column results">
          {names.length > 0 && (
            <ul class="chips" aria-label="Channels">
              {names.map((c) => <li key={c.name}><a href={to.channel(c.name)}>#{c.name}</a></li>)}
            </ul>
          )}
          {error && <p class="error" role="alert">{error}</p>}
          {!wanted && <p class="nothing">Words of messages, or a channel's name.</p>}
          {wanted && !found && !error && <p class="nothing" role="status">Searching …</p>}
          {found && found.length === 0 && wanted && <p class="nothing" role="status">No message has “{q.trim()}”{scope ? ` in #${scope}` : ''}.</p>}
          {found && found.length > 0 && <p class="nothing left" role="status">{found.length >= 50 ? 'The newest 50 messages' : count(found.length, 'message')}</p>}
          {found?.map((m) => <Found key={m.id} message={m} q={q} />)}
        </div>
      </div>
    </section>
  )
}

function Found({ message: m, q }: { message: M; q: string }) {
  return (
    <a class="found" href={to.message(m.channel, m.id)}>
      <Avatar name={m.sender} kind={m.kind} size={24} />
      <span class="body">
        <span class="line"><Name name={m.sender} kind={m.kind} /> <span class="faint">in #{m.channel}</span> <span class="faint when"><When at={m.created_at} long /></span></span>
        <span class="excerpt"><Excerpt text={m.content} q={q} /></span>
      </span>
    </a>
  )
}

// Excerpt is the text around the first word that was looked for, with all of them marked.
export function Excerpt({ text: whole, q }: { text: string; q: string }) {
  const text = plainly(whole)
  const terms = q.split(/\s+/).filter(Boolean).map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  if (terms.length === 0) return <>{glance(text, 220)}</>
  const pattern = new RegExp(`(${terms.join('|')})`, 'gi')
  const at = Math.max(0, text.search(pattern) - 80)
  const piece = (at > 0 ? '…' : '') + text.slice(at, at + 260) + (text.length > at + 260 ? '…' : '')
  return <>{piece.split(pattern).map((s, i) => (i % 2 ? <mark key={i}>{s}</mark> : s))}</>
}
