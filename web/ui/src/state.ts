// What the page knows of the hub. Whoever shows something reads these signals; hub.ts and actions.ts write them.
import { computed, signal } from '@preact/signals'
import type { Channel, Instance, Session, Wait } from './api'
import { empty, type Feed } from './feed'
import { marks } from './kept'
import { route } from './route'

export type Stage = 'opening' | 'sign-in' | 'ready' | 'failed'
export const stage = signal<Stage>('opening')
export const trouble = signal('') // why the stage is failed

export const session = signal<Session>({ name: '', admin: true, key_needed: false })
export const me = computed(() => session.value.name)

// Line is the live connection. Until is when it is tried again.
export type Line = { state: 'opening' } | { state: 'live' } | { state: 'lost'; until: number; why: string }
export const line = signal<Line>({ state: 'opening' })

export const channels = signal<ReadonlyMap<string, Channel>>(new Map())
export const instances = signal<ReadonlyMap<string, Instance>>(new Map())
export const waits = signal<Wait[]>([])
export const feeds = signal<ReadonlyMap<string, Feed>>(new Map())

// epoch counts how often what was shown had to be thrown away, so that it is read anew.
export const epoch = signal(0)

export const channelList = computed(() =>
  [...channels.value.values()].sort((a, b) => (b.last_id ?? 0) - (a.last_id ?? 0) || a.name.localeCompare(b.name)))

// following says that the reader is at the end of the stream, and wants to stay there.
export const following = signal(true)

export const here = computed(() => (route.value.view === 'channel' ? route.value.ch : ''))
export const feed = computed(() => feeds.value.get(here.value) ?? empty)

// unread counts what is newer than this browser's mark. A channel that appeared since is unread as a whole.
export function unread(ch: Channel, read = marks.value.read): number {
  const mark = read[ch.name]
  if (!mark) return ch.message_count
  if ((ch.last_id ?? 0) <= mark.id) return 0
  return Math.max(1, ch.message_count - mark.count)
}

export const unreadSum = computed(() => channelList.value.reduce((sum, ch) => sum + unread(ch), 0))

export const online = computed(() => [...instances.value.values()].filter((i) => i.status === 'online'))

// Toast is a passing word about something that was done, or failed.
export interface Toast { id: number; text: string; bad: boolean }
export const toasts = signal<Toast[]>([])
let toastId = 0
export function say(text: string, bad = false) {
  const id = ++toastId
  toasts.value = [...toasts.value, { id, text, bad }]
  setTimeout(() => { toasts.value = toasts.value.filter((t) => t.id !== id) }, bad ? 8000 : 3500)
}

// announcement is what a screen reader is told of new messages.
export const announcement = signal('')

export type Dialog =
  | { is: 'name'; then?: () => void }
  | { is: 'channel' }
  | { is: 'share'; ch: string }
  | { is: 'pause'; ch: string }
  | { is: 'keep'; ch: string }
  | { is: 'delete'; key: string }
  | { is: 'release'; id: string }
  | { is: 'keys' }
export const dialog = signal<Dialog | null>(null)
export const drawer = signal<'' | 'left' | 'right'>('')

// replyTo is the message that the composer answers, by channel.
export const replyTo = signal<Record<string, { id: number; sender: string; text: string }>>({})
