// The hub's REST API, as far as the page uses it.

export type MessageType = 'message' | 'request' | 'response' | 'status' | 'handoff' | 'done'
export const messageTypes: MessageType[] = ['message', 'request', 'response', 'status', 'handoff', 'done']

export interface Message {
  id: number
  seq: number
  channel: string
  sender: string
  kind: 'agent' | 'human'
  verified: boolean
  content: string
  message_type: MessageType
  in_reply_to: number | null
  reply_count: number
  created_at: string
  truncated?: boolean
  content_bytes?: number
}

export interface Channel {
  name: string
  description: string
  created_at: string
  message_count: number
  last_message_at: string | null
  last_id: number | null
  active_senders: string
  paused_at?: string | null
  pause_reason?: string
  keep_days?: number // set: it keeps this and keep_messages, whatever the hub keeps; 0: any
  keep_messages?: number
}

export type Retention = Pick<Channel, 'keep_days' | 'keep_messages'>

export interface Instance {
  instance_id: string
  description: string
  model: string
  kind: 'agent' | 'human'
  status: 'online' | 'offline'
  last_seen: string
  held_since?: string
}

export interface Wait {
  channel: string
  instance_id: string
  role: 'active' | 'parked'
  since: string
}

export interface DataItem {
  key: string
  created_by: string
  description: string
  channel?: string
  size_bytes: number
  version: number
  created_at: string
}

export interface DataPart extends DataItem {
  content: string
  next_offset?: number
}

export interface Page {
  messages: Message[]
  more: boolean
  next_after_id: number
  bus_id: string
}

export interface Session {
  name: string
  admin: boolean
  key_needed: boolean
}

export interface Activity {
  senders: { sender: string; counts: number[] }[]
}

// Failure is what the hub, or the way to it, has to say against a request.
export class Failure extends Error {
  constructor(readonly code: string, text: string) {
    super(text)
  }
}

type Query = Record<string, string | number | undefined>

async function call<T>(method: string, path: string, query: Query = {}, body?: unknown, signal?: AbortSignal): Promise<T> {
  const q = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') q.set(name, String(value))
  }
  const url = q.size ? `${path}?${q}` : path
  let res: Response
  try {
    res = await fetch(url, {
      method,
      signal,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch (e) {
    if (signal?.aborted) throw e
    throw new Failure('unreachable', 'The hub cannot be reached. What you wrote is kept; try again in a moment.')
  }
  const text = await res.text()
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw new Failure('internal', `The hub answered ${res.status} without JSON.`)
  }
  if (!res.ok) {
    const { code, error } = answer as { code?: string; error?: string }
    throw new Failure(code ?? 'internal', error ?? `The hub answered ${res.status}.`)
  }
  return answer as T
}

const at = encodeURIComponent
const pageBytes = 1_500_000

export const api = {
  session: () => call<Session>('GET', '/api/session'),
  signIn: (key: string, name: string) => call<Session>('POST', '/api/session', {}, { key, name }),
  signOut: () => call('DELETE', '/api/session'),
  channels: (me: string) => call<{ channels: Channel[] }>('GET', '/api/channels', { limit: 1000, instance_id: me }),
  createChannel: (name: string, description: string) =>
    call<{ channel: string }>('POST', '/api/channels', {}, { name, description }),
  pause: (ch: string, reason: string) => call('POST', `/api/channels/${at(ch)}/pause`, {}, { reason }),
  resume: (ch: string) => call('POST', `/api/channels/${at(ch)}/resume`, {}, {}),
  retain: (ch: string, keep: Retention) => call('POST', `/api/channels/${at(ch)}/retention`, {}, keep),
  activity: (ch: string) => call<Activity>('GET', `/api/channels/${at(ch)}/activity`, { hours: 24 }),
  newest: (ch: string, limit: number) => call<Page>('GET', `/api/messages/${at(ch)}`, { limit, max_bytes: pageBytes }),
  before: (ch: string, id: number, limit: number) =>
    call<Page>('GET', `/api/messages/${at(ch)}`, { before_id: id, limit, max_bytes: pageBytes }),
  after: (ch: string, id: number, limit: number) =>
    call<Page>('GET', `/api/messages/${at(ch)}`, { after_id: id, limit, max_bytes: pageBytes }),
  message: (ch: string, id: number) => call<Message>('GET', `/api/messages/${at(ch)}/${id}`),
  replies: (ch: string, id: number) =>
    call<{ parent: Message; replies: Message[] }>('GET', `/api/messages/${at(ch)}/${id}/replies`, { limit: 200 }),
  send: (m: { channel: string; sender: string; content: string; message_type: MessageType; in_reply_to?: number; idempotency_key: string }) =>
    call<{ id: number; channel: string }>('POST', '/api/messages', {}, m),
  search: (q: string, channel: string, signal: AbortSignal) =>
    call<{ messages: Message[] }>('GET', '/api/search', { q, channel, limit: 50, max_bytes: pageBytes }, undefined, signal),
  instances: () => call<{ instances: Instance[] }>('GET', '/api/instances', { limit: 500 }),
  release: (id: string) => call('DELETE', `/api/instances/${at(id)}`),
  waits: () => call<{ waits: Wait[] }>('GET', '/api/waits'),
  dataList: () => call<{ items: DataItem[] }>('GET', '/api/data', { limit: 500 }),
  data: (key: string, length?: number) => call<DataPart>('GET', `/api/data/${at(key)}`, { length }),
  share: (d: { key: string; content: string; sender: string; description: string; channel: string; if_version?: number }) =>
    call<{ key: string; version: number }>('POST', '/api/data', {}, d),
  deleteData: (key: string, sender: string) => call('DELETE', `/api/data/${at(key)}`, { sender }),
}
