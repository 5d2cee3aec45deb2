// A feed is the stretch of one channel's log that the page holds: messages in order of id, without a hole.
import type { Message } from './api'

export interface Feed {
  messages: Message[]
  atTop: boolean // there is nothing older
  atEnd: boolean // there is nothing newer: what comes live belongs here
  loading: boolean
  error: string
}

export const empty: Feed = { messages: [], atTop: false, atEnd: false, loading: true, error: '' }

// mostHeld bounds what the page shows of one channel at once. Who scrolls further lets go of the other end.
export const mostHeld = 400

// mostFollowed is less: who is at the end of a stream that flows fast wants it to be light.
export const mostFollowed = 200

// merge puts two stretches together, each message once, in order.
export function merge(a: Message[], b: Message[]): Message[] {
  const byId = new Map(a.map((m) => [m.id, m]))
  for (const m of b) byId.set(m.id, m)
  return [...byId.values()].sort((x, y) => x.id - y.id)
}

export function withOlder(f: Feed, older: Message[], atTop: boolean): Feed {
  let messages = merge(older, f.messages)
  let { atEnd } = f
  if (messages.length > mostHeld) {
    messages = messages.slice(0, mostHeld)
    atEnd = false
  }
  return { ...f, messages, atTop, atEnd, loading: false, error: '' }
}

export function withNewer(f: Feed, newer: Message[], atEnd: boolean, keep = mostHeld): Feed {
  let messages = merge(f.messages, newer)
  let { atTop } = f
  if (messages.length > keep) {
    messages = messages.slice(-keep)
    atTop = false
  }
  return { ...f, messages, atTop, atEnd, loading: false, error: '' }
}

// Thread is a message with all that answers it, and what answers that.
export interface Thread { root: Message; replies: Message[] }

// Row is what stands in the stream: a thread, or a word that an older thread has gone on.
export type Row = { kind: 'thread'; thread: Thread } | { kind: 'echo'; first: Message; count: number; root: Message }

// rows folds replies under their parents. Where others spoke in between, an echo shows that the thread went on.
export function rows(messages: Message[]): Row[] {
  const rootOf = new Map<number, Message>()
  const threads = new Map<number, Thread>()
  const out: Row[] = []
  for (const m of messages) {
    const root = m.in_reply_to === null ? undefined : rootOf.get(m.in_reply_to)
    if (!root) {
      rootOf.set(m.id, m)
      const thread = { root: m, replies: [] }
      threads.set(m.id, thread)
      out.push({ kind: 'thread', thread })
      continue
    }
    rootOf.set(m.id, root)
    threads.get(root.id)!.replies.push(m)
    const last = out[out.length - 1]!
    if (last.kind === 'thread' && last.thread.root === root) continue
    if (last.kind === 'echo' && last.root === root) out[out.length - 1] = { ...last, count: last.count + 1 }
    else out.push({ kind: 'echo', first: m, count: 1, root })
  }
  return out
}
