import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { newer, older, show } from '../actions'
import type { Message as M } from '../api'
import { rows, type Row } from '../feed'
import { feedFor, read } from '../hub'
import { details, marks } from '../kept'
import { go, to } from '../route'
import { channels, drawer, epoch, feed, following, here, unread } from '../state'
import { glance } from '../text'
import { dayName, dayOf } from '../time'
import { Composer } from './Composer'
import { Icon } from './Icon'
import { Message, Replies } from './Message'
import { SearchBox } from './Search'
import { Name } from './Who'

const nearEnd = 48 // pixels that still count as the end
const reach = 600 // pixels before an end at which more is read

export function Stream({ ch, id }: { ch: string; id?: number }) {
  const f = feed.value
  const channel = channels.value.get(ch)
  const all = useMemo(() => rows(f.messages), [f.messages])
  const line = useDivider(ch)
  const scroll = useScroll(ch, id, f.messages)
  const fresh = channel ? unread(channel) : 0
  const behind = !f.atEnd && f.messages.length > 0

  useEffect(() => { void show(ch, id) }, [ch, id, epoch.value])

  const latest = () => {
    scroll.stick()
    if (id !== undefined) go(to.channel(ch))
    if (!feedFor(ch).atEnd) void show(ch)
  }
  return (
    <section class="stream" aria-label={`Channel ${ch}`}>
      <Head ch={ch} />
      <div class="scroll" ref={scroll.box} onScroll={scroll.moved} tabIndex={-1}>
        <div class="column">
          {f.messages.length > 0 && <p class="edge" role="status">{f.atTop ? `This is where #${ch} begins.` : f.loading ? 'Reading on …' : ''}</p>}
          {f.loading && f.messages.length === 0 && <Loading />}
          {f.error && <p class="error" role="alert">{f.error} <button onClick={() => void show(ch, id)}>Try again</button></p>}
          {!f.loading && !f.error && f.messages.length === 0 && <Nobody ch={ch} />}
          <Rows all={all} target={id} line={line} />
        </div>
      </div>
      {(behind || (fresh > 0 && !scroll.atBottom)) && (
        <button class="latest" data-latest onClick={latest}>
          {fresh > 0 ? `${fresh > 999 ? '999+' : fresh} new` : 'To the newest'} <Icon name="down" size={15} />
        </button>
      )}
      <Composer key={ch} ch={ch} onSent={latest} />
    </section>
  )
}

function Head({ ch }: { ch: string }) {
  const channel = channels.value.get(ch)
  return (
    <header class="head">
      <button class="quiet narrow" aria-label="Channels" onClick={() => { drawer.value = 'left' }}><Icon name="menu" /></button>
      <div class="title">
        <h1><span class="hash" aria-hidden="true">#</span>{ch}</h1>
        {channel?.description && <p title={channel.description}>{channel.description}</p>}
      </div>
      <SearchBox q="" ch={ch} />
      <button class="quiet" aria-label="Details of the channel" aria-expanded={details.value} title="Details of the channel"
        onClick={() => {
          if (innerWidth < 1100) drawer.value = drawer.value === 'right' ? '' : 'right'
          else details.value = !details.value
        }}><Icon name="info" /></button>
    </header>
  )
}

function Loading() {
  return (
    <div class="ghosts" role="status" aria-label="Reading messages">
      {[62, 88, 45, 74].map((w) => <div key={w} class="ghost"><i /><b style={{ width: `${w}%` }} /></div>)}
    </div>
  )
}

function Nobody({ ch }: { ch: string }) {
  return (
    <div class="nothing tall">
      <p><strong>Nothing has been said in #{ch} yet.</strong></p>
      <p>Write the first message below, or have an agent send one here:</p>
      <pre><code>{`send_message channel="${ch}" content="hello"`}</code></pre>
    </div>
  )
}

const soon = 4 * 60_000

// goesOn says whether b can do without its sender's name, because a has it.
function goesOn(a: Row | undefined, b: Row): boolean {
  if (a?.kind !== 'thread' || b.kind !== 'thread') return false
  const [x, y] = [a.thread.root, b.thread.root]
  return a.thread.replies.length === 0 && x.reply_count === 0 && x.sender === y.sender && x.kind === y.kind && y.in_reply_to === null &&
    x.message_type === 'message' && y.message_type === 'message' && Date.parse(y.created_at) - Date.parse(x.created_at) < soon
}

const first = (r: Row): M => (r.kind === 'thread' ? r.thread.root : r.first)

function Rows({ all, target, line }: { all: Row[]; target?: number; line: number }) {
  let drawn = line === 0
  return (
    <>
      {all.map((row, i) => {
        const m = first(row)
        const before = all[i - 1]
        const newDay = !before || dayOf(first(before).created_at) !== dayOf(m.created_at)
        const isLine = !drawn && m.id > line && i > 0
        drawn ||= m.id > line
        return (
          <div key={row.kind === 'thread' ? m.id : `e${m.id}`} class="row" data-row={m.id}>
            {newDay && <h2 class="day"><span>{dayName(m.created_at)}</span></h2>}
            {isLine && <p class="day new"><span>New</span></p>}
            {row.kind === 'thread'
              ? <>
                  <Message message={m} target={target === m.id} joined={!newDay && !isLine && goesOn(before, row)} inReplyTo={m.in_reply_to !== null} />
                  <Replies parent={m} replies={row.thread.replies} target={target} />
                </>
              : <Echo row={row} />}
          </div>
        )
      })}
    </>
  )
}

function Echo({ row }: { row: Extract<Row, { kind: 'echo' }> }) {
  const m = row.first
  return (
    <a class="echo" href={to.message(m.channel, m.id)}>
      <Icon name="reply" size={14} />
      <Name name={m.sender} /> {row.count > 1 ? `and others answered (${row.count})` : 'answered'} <Name name={row.root.sender} />
      <span class="faint">{glance(m.content, 80)}</span>
    </a>
  )
}

// useDivider keeps where the unread began when the channel was opened, or when the page was last looked at.
function useDivider(ch: string): number {
  const at = () => marks.value.read[ch]?.id ?? 0
  const [line, setLine] = useState(at)
  useEffect(() => {
    setLine(at())
    const gone = () => {
      if (document.hidden) setLine(channels.value.get(ch)?.last_id ?? 0)
    }
    addEventListener('visibilitychange', gone)
    return () => removeEventListener('visibilitychange', gone)
  }, [ch])
  return line
}

// useScroll keeps the view where the reader is: at the end while he is there, else on what he reads, whatever comes above
// or below. At an end it reads on.
function useScroll(ch: string, id: number | undefined, messages: M[]) {
  const box = useRef<HTMLDivElement>(null)
  const held = useRef({ stuck: id === undefined, anchor: '', offset: 0, shown: 0 })
  const [atBottom, setAtBottom] = useState(id === undefined)

  const look = () => {
    const el = box.current
    const f = feedFor(ch)
    if (!el || f.messages.length === 0) return
    const left = el.scrollHeight - el.scrollTop - el.clientHeight
    held.current.stuck = left < nearEnd && f.atEnd
    setAtBottom(held.current.stuck)
    if (here.value === ch) following.value = held.current.stuck
    if (held.current.stuck && !document.hidden && here.value === ch) read(ch)
    const top = el.getBoundingClientRect().top
    for (const row of el.querySelectorAll<HTMLElement>('[data-row]')) {
      const r = row.getBoundingClientRect()
      if (r.bottom <= top) continue
      held.current.anchor = row.dataset.row!
      held.current.offset = r.top - top
      break
    }
    if (f.loading || f.error) return
    if (el.scrollTop < reach && !f.atTop) void older(ch)
    else if (left < reach && !f.atEnd) void newer(ch)
  }

  useLayoutEffect(() => {
    const el = box.current
    if (!el) return
    const target = id !== undefined && held.current.shown !== id ? document.getElementById(`m${id}`) : null
    if (target) {
      held.current.shown = id!
      held.current.stuck = false
      target.scrollIntoView({ block: 'center' })
      target.focus({ preventScroll: true })
    } else if (held.current.stuck) {
      el.scrollTop = el.scrollHeight
    } else if (held.current.anchor) {
      const row = el.querySelector<HTMLElement>(`[data-row="${held.current.anchor}"]`)
      if (row) el.scrollTop += row.getBoundingClientRect().top - el.getBoundingClientRect().top - held.current.offset
    }
    look()
  }, [messages, id])

  // What grows after it was drawn, such as a composer or code that gets its colours, must not push the end out of view.
  useEffect(() => {
    const el = box.current!
    const grown = new ResizeObserver(() => {
      if (held.current.stuck) el.scrollTop = el.scrollHeight
    })
    grown.observe(el)
    grown.observe(el.firstElementChild!)
    const back = () => { if (!document.hidden) look() }
    addEventListener('visibilitychange', back)
    return () => {
      grown.disconnect()
      removeEventListener('visibilitychange', back)
    }
  }, [ch])

  return {
    box, atBottom, moved: look,
    stick: () => {
      held.current.stuck = true
      if (box.current) box.current.scrollTop = box.current.scrollHeight
    },
  }
}
