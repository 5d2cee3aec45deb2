// What a person does: read on, post, share, intervene.
import { api, Failure, type MessageType, type Retention } from './api'
import { empty, withNewer, withOlder } from './feed'
import { feedFor, open, refresh, setFeed } from './hub'
import { drafts } from './kept'
import { go, to } from './route'
import { channels, dialog, here, instances, me, replyTo, say, session } from './state'

const pageSize = 60

export const words = (e: unknown) => (e instanceof Error ? e.message : String(e))

// show makes sure that a channel's feed is there, around a message if one is named.
export async function show(ch: string, id?: number) {
  const f = feedFor(ch)
  if (id === undefined ? f.atEnd && !f.error : f.messages.some((m) => m.id === id)) {
    setFeed(ch, f)
    return
  }
  setFeed(ch, { ...empty })
  try {
    if (id === undefined) {
      const page = await api.newest(ch, pageSize)
      setFeed(ch, withNewer({ ...empty, atTop: page.messages.length === 0 || page.messages[0]!.seq === 1 }, page.messages, true))
      await catchUp(ch)
      return
    }
    const [older, newer] = await Promise.all([api.before(ch, id + 1, pageSize / 2), api.after(ch, id, pageSize / 2)])
    const f = withNewer({ ...empty }, [...older.messages, ...newer.messages], !newer.more)
    setFeed(ch, { ...f, atTop: older.messages.length === 0 || older.messages[0]!.seq === 1 })
    if (!newer.more) await catchUp(ch)
  } catch (e) {
    setFeed(ch, { ...empty, loading: false, error: words(e) })
  }
}

// catchUp brings what was stored between the page's making and now, in case the live line was faster.
async function catchUp(ch: string) {
  const f = feedFor(ch)
  const last = f.messages.at(-1)?.id ?? 0
  if ((channels.value.get(ch)?.last_id ?? 0) <= last) return
  const page = await api.after(ch, last, 200)
  const now = feedFor(ch)
  if (now.atEnd) setFeed(ch, withNewer(now, page.messages, !page.more))
}

export async function older(ch: string) {
  const f = feedFor(ch)
  const first = f.messages[0]
  if (!first || f.loading || f.atTop) return
  setFeed(ch, { ...f, loading: true })
  try {
    const page = await api.before(ch, first.id, pageSize)
    setFeed(ch, withOlder(feedFor(ch), page.messages, page.messages.length === 0 || page.messages[0]!.seq === 1))
  } catch (e) {
    setFeed(ch, { ...feedFor(ch), loading: false, error: words(e) })
  }
}

export async function newer(ch: string) {
  const f = feedFor(ch)
  const last = f.messages.at(-1)
  if (!last || f.loading || f.atEnd) return
  setFeed(ch, { ...f, loading: true })
  try {
    const page = await api.after(ch, last.id, pageSize)
    setFeed(ch, withNewer(feedFor(ch), page.messages, !page.more))
    if (!page.more) await catchUp(ch)
  } catch (e) {
    setFeed(ch, { ...feedFor(ch), loading: false, error: words(e) })
  }
}

// named runs an action once the person has a name.
export function named(act: () => void) {
  if (me.value) act()
  else dialog.value = { is: 'name', then: act }
}

export async function signIn(key: string, name: string) {
  session.value = await api.signIn(key, name)
  await open()
}

export async function signOut() {
  await api.signOut()
  location.reload()
}

// keys lets a message that is sent again after a failure be stored once.
const keys = new Map<string, string>()

function keyOf(what: string): string {
  const known = keys.get(what)
  if (known) return known
  const fresh = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')
  keys.set(what, fresh)
  return fresh
}

export async function post(ch: string, content: string, type: MessageType): Promise<void> {
  const parent = replyTo.value[ch]
  const draft = { channel: ch, sender: me.value, content, message_type: type, in_reply_to: parent?.id }
  const what = JSON.stringify(draft)
  await api.send({ ...draft, idempotency_key: keyOf(what) })
  keys.delete(what)
  cancelReply(ch)
  const { [ch]: _, ...rest } = drafts.value
  drafts.value = rest
  if (!feedFor(ch).atEnd) await show(ch)
  else await catchUp(ch)
}

export function cancelReply(ch: string) {
  const { [ch]: _, ...rest } = replyTo.value
  replyTo.value = rest
}

// tried runs an action and says how it went.
export async function tried(act: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await act()
    if (done) say(done)
    return true
  } catch (e) {
    say(e instanceof Failure && e.code === 'forbidden' ? `You may not do this: ${e.message}` : words(e), true)
    return false
  }
}

export async function createChannel(name: string, description: string) {
  const { channel } = await api.createChannel(name, description)
  await refresh()
  go(to.channel(channel))
}

export async function pause(ch: string, reason: string) {
  await api.pause(ch, reason)
  await refresh()
}

export async function resume(ch: string) {
  await api.resume(ch)
  await refresh()
}

export async function retain(ch: string, keep: Retention) {
  await api.retain(ch, keep)
  await refresh()
}

export async function release(id: string) {
  await api.release(id)
  const next = new Map(instances.value)
  next.delete(id)
  instances.value = next
}

export const step = (names: string[], by: number) => {
  const at = names.indexOf(here.value)
  const next = names[Math.min(Math.max(at + by, 0), names.length - 1)]
  if (next) go(to.channel(next))
}
