// The live line: one subscription to every channel, from where the first look at the hub ended, so that nothing falls
// between the two. Messages are taken in with the next frame, and ten times a second at most, however many come.
import { connect, type Bus } from '../../../clients/js/crosstalk.js'
import { api, Failure, type Channel, type Message } from './api'
import { empty, mostFollowed, mostHeld, withNewer, type Feed } from './feed'
import { lastChannel, marks, type Mark } from './kept'
import { notify } from './notify'
import { glance } from './text'
import { announcement, channels, epoch, feeds, following, here, instances, line, me, say, session, stage, trouble, waits } from './state'

let bus: Bus | undefined
let head = 0 // the newest id that is counted in channels
const waiting: Message[] = []
let due = false
let took = 0

// open looks at the hub, and then listens. It is called again after signing in.
export async function open(again = false): Promise<void> {
  try {
    session.value = await api.session()
    if (session.value.key_needed && !session.value.name) {
      stage.value = 'sign-in'
      return
    }
    await Promise.all([loadChannels(), loadInstances()])
  } catch (e) {
    if (e instanceof Failure && e.code === 'unauthenticated') {
      // Without a key only a session that has ended can be refused: without it the hub is open.
      if (session.value.key_needed || again) stage.value = 'sign-in'
      else await api.signOut().then(() => open(true), () => { stage.value = 'sign-in' })
      return
    }
    trouble.value = e instanceof Error ? e.message : String(e)
    stage.value = 'failed'
    return
  }
  stage.value = 'ready'
  listen()
}

export function listen() {
  bus?.close()
  const b = connect(location.origin, { channels: '*', after_id: head, presence: true })
  bus = b
  b.on('message', take)
  b.on('presence', ({ instance_id, status }) => seen(instance_id, status))
  b.on('replaced', startOver)
  b.on('gap', () => {
    say('You were away for longer than the hub keeps messages: some are gone.', true)
    readAnew()
    void refresh()
  })
  b.on('subscribed', () => knowBus(b.bus_id))
  b.on('status', (s) => {
    if (b !== bus) return
    if (s.state === 'live') {
      if (line.value.state === 'lost') void refresh()
      line.value = { state: 'live' }
    } else if (s.state === 'waiting') {
      line.value = { state: 'lost', until: Date.now() + (s.seconds ?? 1) * 1000, why: s.code === 1012 ? 'The hub restarts.' : 'The line to the hub is cut.' }
    } else if (s.state === 'closed') {
      if (s.code === 4401) void open()
      else line.value = { state: 'lost', until: 0, why: s.reason ?? 'The hub closed the line.' }
    }
  })
}

export const retry = () => bus?.retry()

export function hangUp() {
  bus?.close()
  bus = undefined
}

async function loadChannels() {
  const list = (await api.channels(me.value)).channels
  const next = new Map<string, Channel>()
  for (const ch of list) {
    const known = channels.value.get(ch.name)
    // What came live after the answer was made is newer than the answer.
    next.set(ch.name, known && (known.last_id ?? 0) > (ch.last_id ?? 0)
      ? { ...known, paused_at: ch.paused_at, pause_reason: ch.pause_reason, description: ch.description, keep_days: ch.keep_days, keep_messages: ch.keep_messages } : ch)
    head = Math.max(head, bus ? 0 : ch.last_id ?? 0)
  }
  channels.value = next
}

export async function loadInstances() {
  instances.value = new Map((await api.instances()).instances.map((i) => [i.instance_id, i]))
}

export async function loadWaits() {
  waits.value = (await api.waits()).waits
}

// refresh brings what is not told live: pauses, descriptions, who works on what. With a name it also counts as seen.
export async function refresh() {
  try {
    await Promise.all([loadChannels(), loadInstances(), loadWaits()])
  } catch (e) {
    if (e instanceof Failure && e.code === 'unauthenticated') {
      hangUp()
      void open()
    }
    // Else the line's banner says what is wrong.
  }
}

// knowBus gives this browser's marks a database to be about. On a first visit all there is counts as read.
function knowBus(id: string) {
  if (marks.value.bus === id) return
  const read: Record<string, Mark> = {}
  for (const ch of channels.value.values()) read[ch.name] = { id: ch.last_id ?? 0, count: ch.message_count }
  marks.value = { bus: id, read }
}

// startOver forgets a database that was replaced by another.
function startOver() {
  hangUp()
  head = 0
  waiting.length = 0
  channels.value = new Map()
  say('The hub has another database now. This is what it holds.', true)
  void open().then(readAnew)
}

function readAnew() {
  feeds.value = new Map()
  epoch.value++
}

function take(m: Message) {
  waiting.push(m)
  if (due) return
  due = true
  // A hidden page gets no frames; once a second is enough for it.
  const pause = document.hidden ? 1000 : took + 100 - performance.now()
  if (pause > 0) setTimeout(takeIn, pause)
  else requestAnimationFrame(takeIn)
}

addEventListener('visibilitychange', () => {
  if (!document.hidden && due) takeIn()
})

function takeIn() {
  due = false
  took = performance.now()
  const batch = waiting.splice(0).filter((m) => m.id > head)
  if (batch.length === 0) return
  head = batch[batch.length - 1]!.id
  const list = new Map(channels.value)
  const known = new Map(feeds.value)
  const byChannel = new Map<string, Message[]>()
  for (const m of batch) byChannel.set(m.channel, [...(byChannel.get(m.channel) ?? []), m])
  for (const [name, messages] of byChannel) {
    list.set(name, grown(list.get(name), name, messages))
    const f = known.get(name)
    if (f) known.set(name, fed(f, messages, name !== here.value || following.value))
  }
  channels.value = list
  feeds.value = known
  meet(batch)
  tell(batch)
}

function grown(ch: Channel | undefined, name: string, messages: Message[]): Channel {
  const last = messages[messages.length - 1]!
  const base = ch ?? { name, description: '', created_at: messages[0]!.created_at, message_count: 0, last_message_at: null, last_id: null, active_senders: '' }
  const fresh = messages.filter((m) => m.id > (base.last_id ?? 0))
  const senders = new Set([...base.active_senders.split(', '), ...fresh.map((m) => m.sender)].filter(Boolean))
  return {
    ...base,
    message_count: base.message_count + fresh.length,
    last_id: Math.max(last.id, base.last_id ?? 0),
    last_message_at: last.created_at,
    active_senders: [...senders].join(', '),
  }
}

// fed adds what came live, and counts it at its parents. A feed that is full lets go of its oldest messages, unless
// somebody reads there: then the newest wait on the hub until he comes down.
function fed(f: Feed, messages: Message[], follow: boolean): Feed {
  const fresh = f.atEnd ? messages.filter((m) => m.id > (f.messages.at(-1)?.id ?? 0)) : []
  const answers = new Map<number, number>()
  for (const m of f.atEnd ? fresh : messages) if (m.in_reply_to) answers.set(m.in_reply_to, (answers.get(m.in_reply_to) ?? 0) + 1)
  const old = answers.size === 0 ? f.messages
    : f.messages.map((m) => (answers.has(m.id) ? { ...m, reply_count: m.reply_count + answers.get(m.id)! } : m))
  if (!follow && old.length + fresh.length > mostHeld) return { ...f, messages: old, atEnd: false }
  return withNewer({ ...f, messages: old }, fresh, f.atEnd, follow ? mostFollowed : mostHeld)
}

// meet asks who it is that speaks here for the first time, or is back.
let asking: ReturnType<typeof setTimeout> | undefined
function meet(batch: Message[]) {
  if (asking || batch.every((m) => instances.value.get(m.sender)?.status === 'online')) return
  asking = setTimeout(() => {
    asking = undefined
    loadInstances().catch(() => {})
  }, 1500)
}

function seen(id: string, status: 'online' | 'offline') {
  const known = instances.value.get(id)
  if (!known) {
    asking ??= setTimeout(() => {
      asking = undefined
      loadInstances().catch(() => {})
    }, 500)
    return
  }
  instances.value = new Map(instances.value).set(id, { ...known, status, last_seen: new Date().toISOString() })
}

function tell(batch: Message[]) {
  const others = batch.filter((m) => !(m.kind === 'human' && m.sender === me.value))
  notify(others)
  const shown = others.filter((m) => m.channel === here.value)
  const last = shown.at(-1)
  if (!last) return
  const more = shown.length > 1 ? `, and ${shown.length - 1} more` : ''
  announcement.value = `${last.sender}: ${glance(last.content, 200)}${more}`
}

// read moves this browser's mark to the channel's end.
export function read(name: string) {
  const ch = channels.value.get(name)
  if (!ch) return
  const mark = marks.value.read[name]
  if (mark && mark.id === (ch.last_id ?? 0) && mark.count === ch.message_count) return
  marks.value = { ...marks.value, read: { ...marks.value.read, [name]: { id: ch.last_id ?? 0, count: ch.message_count } } }
}

export function feedFor(name: string): Feed {
  return feeds.value.get(name) ?? empty
}

export function setFeed(name: string, f: Feed) {
  const next = new Map(feeds.value)
  next.delete(name)
  next.set(name, f)
  // The channels looked at longest ago are let go: coming back reads them anew.
  for (const old of next.keys()) {
    if (next.size <= 12) break
    if (old !== here.value) next.delete(old)
  }
  feeds.value = next
  if (name === here.value) lastChannel.value = name
}
