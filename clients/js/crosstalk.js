/**
 * A client of a Crosstalk hub for browsers and Node 22 (Node 20 with the WebSocket of the package ws).
 *
 * Each message comes once and in order, over any number of lost connections, for as long as the hub keeps it; where it
 * does not, a "gap" event says so. What is published is stored once, however often it had to be sent.
 *
 * @module
 */

/**
 * @typedef {object} Message
 * @property {number} id
 * @property {number} seq
 * @property {string} channel
 * @property {string} sender
 * @property {"agent" | "human"} kind
 * @property {boolean} verified
 * @property {string} content
 * @property {"message" | "request" | "response" | "status" | "handoff" | "done"} message_type
 * @property {number | null} in_reply_to
 * @property {number} reply_count
 * @property {string} created_at
 *
 * @typedef {object} Options
 * @property {string} [key] the hub's key
 * @property {string | string[]} [channels] to listen to from the start; "*" is all
 * @property {number} [after_id] the last message you handled: what came after it comes first. Without it: from now on
 * @property {string} [bus_id] the bus that after_id is from
 * @property {string} [instance_id] your name: the default sender, held while connected. Its own messages are left out
 * @property {boolean} [presence] tell who comes and goes
 * @property {AbortSignal} [signal] closes the connection
 * @property {SocketMaker} [WebSocket] where there is no global one
 * @property {number} [min_delay] seconds before a reconnect, at least: 0.5
 * @property {number} [max_delay] and at most: 20
 * @property {number} [max_queue] messages that may wait for a slow loop in memory, 10000; those behind them wait on the hub
 *
 * @typedef {object} Socket what is used of a WebSocket
 * @property {number} readyState
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {(text: string) => void} send
 * @property {(code?: number) => void} close
 * @property {() => void} [terminate]
 *
 * @typedef {new (url: string, protocols: string[]) => Socket} SocketMaker
 *
 * @typedef {object} Status
 * @property {"connecting" | "live" | "waiting" | "closed"} state
 * @property {number} [seconds] waiting: until the next try
 * @property {number} [code] why the last connection ended: its close code, 1006 when there was none
 * @property {string} [reason] likewise, in words
 *
 * @typedef {{message_id: number, seq: number, duplicate: boolean}} Receipt
 * @typedef {{channel: string, last_id: number, recovered: boolean}} Subscribed
 *
 * @typedef {object} Events what on() tells of
 * @property {Message} message takes messages away from the async iteration
 * @property {Status} status
 * @property {{instance_id: string, status: "online" | "offline"}} presence
 * @property {Subscribed} subscribed at each (re)connect and subscribe
 * @property {Subscribed} gap the hub no longer has some of what was missed
 * @property {{bus_id: string, before: string}} replaced another database: all of it follows, from its first message
 * @property {BusError} error a subscription could not be renewed, and has ended
 *
 * @typedef {object} Stream a cursor over some channels
 * @property {Set<string>} channels
 * @property {number | null} after null: from now on
 * @property {boolean} exclude_self
 * @property {boolean} active subscribed to on the present connection
 *
 * @typedef {object} Command one that the hub has not answered
 * @property {Record<string, unknown>} frame
 * @property {boolean} resend on the next connection
 * @property {(answer: any) => void} resolve
 * @property {(error: BusError) => void} reject
 */

/** Says what the hub refused. The code is one of the hub's error codes, or "closed". */
export class BusError extends Error {
  /** @param {string} code @param {string} text @param {number} [retry_after] seconds */
  constructor(code, text, retry_after = 0) {
    super(text)
    this.name = "BusError"
    this.code = code
    this.retry_after = retry_after
  }
}

/**
 * Connects, and stays connected until close().
 * @param {string | URL} url of the hub, such as https://bus.example.com
 * @param {Options} [options]
 */
export function connect(url, options = {}) {
  return new Bus(url, options)
}

const MAX_FRAME = 1 << 20 // bytes that the hub takes in one frame
const PATIENCE = 20 // seconds for a connection to begin, and of the shortest life that lets the next wait be short
/** Close codes after which coming back would change nothing. @type {Record<number, string>} */
const FATAL = { 1007: "invalid", 1009: "too_large", 4400: "invalid", 4401: "unauthenticated", 4403: "forbidden" }

/** @implements {AsyncIterable<Message>} */
export class Bus {
  /** @type {Options} */ #options
  /** @type {SocketMaker} */ #WebSocket
  #url = ""
  /** @type {string[]} */ #protocols = ["crosstalk.v1"]
  /** @type {Socket | null} */ #ws = null
  /** @type {Status} */ #status = { state: "connecting" }
  #bus = ""
  /** @type {Stream} those named at connect */ #first
  /** @type {Stream[]} */ #later = []
  /** @type {Map<number, Command>} */ #pending = new Map()
  #lastCommand = 0
  /** @type {Message[]} */ #queue = []
  /** @type {{resolve: (r: IteratorResult<Message>) => void, reject: (e: unknown) => void}[]} */ #takers = []
  #behind = false // messages are left on the hub until the queue is empty
  /** @type {Map<string, Set<(detail: any) => void>>} */ #listeners = new Map()
  #tries = 0
  #since = 0 // when the connection came to life
  #heard = 0
  #ping = 25
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer
  /** @type {BusError | null} */ #error = null
  #wake = () => this.retry()
  #abort = () => this.close()

  /** @param {string | URL} url @param {Options} options */
  constructor(url, options) {
    this.#options = options
    const { channels = [], after_id = null, bus_id = "", key = "", signal } = options
    const Socket = options.WebSocket ?? globalThis.WebSocket
    if (!Socket) throw new TypeError("there is no WebSocket here: pass one as an option, such as that of the package ws")
    this.#WebSocket = /** @type {SocketMaker} */ (Socket)
    this.#url = address(url, options)
    if (key) this.#protocols.push("bearer." + base64url(key))
    const names = (typeof channels === "string" ? channels.split(",") : channels).map(channelName).filter(Boolean)
    this.#first = { channels: new Set(names), after: after_id, exclude_self: false, active: false }
    this.#bus = bus_id
    signal?.addEventListener("abort", this.#abort)
    globalThis.addEventListener?.("online", this.#wake)
    globalThis.document?.addEventListener("visibilitychange", this.#wake)
    if (signal?.aborted) this.close()
    queueMicrotask(() => this.#status.state === "connecting" && this.#dial()) // after the caller's first on()
  }

  /** Names the database. Keep it beside the id of the last message you handled. */
  get bus_id() {
    return this.#bus
  }

  get status() {
    return this.#status
  }

  /**
   * Calls listener at each event. Returns what ends that.
   * @template {keyof Events} E
   * @param {E} event @param {(detail: Events[E]) => void} listener
   */
  on(event, listener) {
    const all = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, all.add(listener))
    return () => void all.delete(listener)
  }

  /** Messages, each once, also over reconnects. Ends with close(); throws when the hub does not let us in. */
  [Symbol.asyncIterator]() {
    return {
      next: () => this.#take(),
      return: async () => /** @type {IteratorResult<Message>} */ ({ done: true, value: undefined }),
    }
  }

  /**
   * Publishes, and resolves once the message is on the hub's disk. While there is no connection it waits for one.
   * @param {string} channel @param {string} content
   * @param {{sender?: string, message_type?: Message["message_type"], in_reply_to?: number, idempotency_key?: string, signal?: AbortSignal}} [options]
   * @returns {Promise<Receipt>}
   */
  publish(channel, content, { signal, ...rest } = {}) {
    const frame = { type: "publish", channel, content, idempotency_key: randomKey(), ...rest }
    return this.#command(frame, true, signal).then(({ message_id, seq, duplicate }) => ({ message_id, seq, duplicate }))
  }

  /**
   * Listens to one more channel. With exclude_self your own messages are left out, which needs an instance_id.
   * @param {string} channel @param {{after_id?: number, exclude_self?: boolean}} [options]
   * @returns {Promise<Subscribed>}
   */
  subscribe(channel, { after_id, exclude_self = false } = {}) {
    return this.#command({ type: "subscribe", channel, after_id, exclude_self }, true).then(pickSubscribed)
  }

  /** @param {string} channel @returns {Promise<void>} */
  unsubscribe(channel) {
    return this.#command({ type: "unsubscribe", channel }, true).then(() => {})
  }

  /** Tries to reconnect now instead of later; on a live connection, finds out soon whether it still is. */
  retry() {
    if (this.#status.state === "waiting") return this.#dial()
    if (this.#status.state !== "live") return
    const asked = Date.now()
    this.#send({ type: "ping" })
    const ws = this.#ws
    setTimeout(() => ws === this.#ws && this.#heard < asked && this.#lost(1006, "no answer"), 5000)
  }

  /** Ends everything. What was published and not answered may or may not have been stored. */
  close() {
    this.#queue = []
    this.#end(new BusError("closed", "the connection was closed"), { state: "closed" })
  }

  // The connection.

  #dial() {
    this.#drop()
    const url = new URL(this.#url)
    const { channels, after } = this.#first
    if (channels.size > 0) url.searchParams.set("channels", [...channels].join(","))
    if (channels.size > 0 && after !== null) url.searchParams.set("after_id", String(after))
    this.#say({ state: "connecting" })
    if (this.#status.state !== "connecting") return
    /** @type {Socket} */ let ws
    try {
      ws = new this.#WebSocket(url.href, this.#protocols)
    } catch (error) {
      return this.#end(new BusError("invalid", String(error)))
    }
    this.#ws = ws
    this.#heard = Date.now()
    this.#since = 0
    ws.onmessage = (event) => this.#hear(event.data)
    ws.onclose = (event) => this.#lost(event.code, event.reason)
    // onclose follows, but not in Node 22 when nobody listens at the address.
    ws.onerror = (event) => void setTimeout(() => ws === this.#ws && this.#lost(1006, event.message || "no connection"), 100)
    this.#watch(PATIENCE / 2, PATIENCE)
  }

  /** Looks every so many seconds whether there is still somebody. @param {number} every @param {number} limit */
  #watch(every, limit) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      const silent = Date.now() - this.#heard
      if (silent >= limit * 1000) return this.#lost(1006, `nothing was heard for ${limit} s`)
      if (silent >= (limit * 1000) / 2 && this.#since) this.#send({ type: "ping" })
      this.#watch(every, limit)
    }, every * 1000)
  }

  /** Forgets the connection. It need not have ended: what it still says is not heard. */
  #drop() {
    clearTimeout(this.#timer)
    const ws = this.#ws
    this.#ws = null
    for (const stream of [this.#first, ...this.#later]) stream.active = false
    for (const [id, command] of this.#pending) if (!command.resend) this.#pending.delete(id)
    if (!ws) return
    ws.onmessage = ws.onclose = null
    if (ws.readyState > 1) return
    if (ws.terminate) ws.terminate()
    else ws.close()
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    if (FATAL[code]) return this.#end(new BusError(FATAL[code], reason || `closed with ${code}`), { state: "closed", code, reason })
    if (this.#since && Date.now() - this.#since > PATIENCE * 1000) this.#tries = 0
    this.#drop()
    const { min_delay = 0.5, max_delay = 20 } = this.#options
    const told = /([\d.]+) ?(ms|s)\b/.exec(code === 1012 || code === 4429 ? reason : "")
    const most = Math.min(max_delay, 2 * min_delay * 2 ** this.#tries)
    const seconds = told ? Number(told[1]) / (told[2] === "ms" ? 1000 : 1) : min_delay + Math.random() * (most - min_delay)
    if (!told) this.#tries = Math.min(this.#tries + 1, 20)
    this.#timer = setTimeout(() => this.#dial(), seconds * 1000)
    this.#say({ state: "waiting", seconds, code, reason })
  }

  /** @param {BusError} error @param {Status} [status] */
  #end(error, status = { state: "closed", reason: error.message }) {
    if (this.#status.state === "closed") return
    this.#status = status
    this.#error = error
    this.#drop()
    this.#options.signal?.removeEventListener("abort", this.#abort)
    globalThis.removeEventListener?.("online", this.#wake)
    globalThis.document?.removeEventListener("visibilitychange", this.#wake)
    for (const command of this.#pending.values()) command.reject(error)
    this.#pending.clear()
    for (const taker of this.#takers.splice(0)) this.#finish(taker)
    this.#emit("status", status)
  }

  /** @param {Status} status */
  #say(status) {
    this.#status = status
    this.#emit("status", status)
  }

  // What the hub says.

  /** @param {string} data */
  #hear(data) {
    this.#heard = Date.now()
    let frame
    try {
      frame = JSON.parse(data)
    } catch {
      return this.#lost(1006, "what answers there is no hub")
    }
    switch (frame.type) {
      case "welcome":
        return this.#welcome(frame)
      case "message":
        return this.#deliver(frame.message)
      case "position":
        for (const s of [this.#first, ...this.#later]) if (s.active && !this.#behind) s.after = Math.max(s.after ?? 0, frame.last_id)
        return
      case "presence":
        return this.#emit("presence", { instance_id: frame.instance_id, status: frame.status })
      case "subscribed":
        this.#subscribed(frame)
        break
      case "unsubscribed":
        this.#unsubscribed(frame.channel)
        break
      case "error":
        return this.#refused(frame)
    }
    const command = this.#pending.get(frame.id)
    this.#pending.delete(frame.id)
    command?.resolve(frame)
  }

  /** @param {{bus_id: string, ping_seconds: number}} frame */
  #welcome({ bus_id, ping_seconds }) {
    const before = this.#bus
    this.#bus = bus_id
    if (before && before !== bus_id) {
      for (const stream of [this.#first, ...this.#later]) if (stream.after !== null) stream.after = 0
      this.#emit("replaced", { bus_id, before })
      if (this.#first.after !== null && this.#ws) return this.#dial() // the hub was asked for what came after the old cursor
      if (!this.#ws) return
    }
    this.#since = Date.now()
    this.#ping = ping_seconds
    this.#watch(this.#ping / 2, this.#ping * 2)
    const waiting = [...this.#pending.values()]
    for (const stream of this.#later) this.#renew(stream)
    for (const { frame } of waiting) this.#send(frame)
    this.#say({ state: "live" })
  }

  /** @param {Stream} stream */
  #renew(stream) {
    const [channel] = stream.channels
    this.#command({ type: "subscribe", channel, after_id: stream.after ?? undefined, exclude_self: stream.exclude_self }, false).catch((error) => {
      if (error.code === "unavailable") return this.#lost(1013, error.message)
      if (error.code === "closed") return
      this.#later = this.#later.filter((s) => s !== stream)
      this.#emit("error", error)
    })
  }

  /** @param {{id?: number, channel: string, last_id: number, recovered: boolean}} frame */
  #subscribed(frame) {
    const command = this.#pending.get(frame.id ?? 0)?.frame
    let stream = command ? this.#later.find((s) => s.channels.has(frame.channel)) : this.#first
    if (!stream) {
      stream = { channels: new Set([frame.channel]), after: asNumber(command?.after_id), exclude_self: command?.exclude_self === true, active: true }
      this.#later.push(stream)
    }
    stream.active = true
    if (stream.after === null || stream.after > frame.last_id) stream.after = frame.last_id
    this.#emit("subscribed", pickSubscribed(frame))
    if (!frame.recovered) this.#emit("gap", pickSubscribed(frame))
  }

  /** @param {string} channel */
  #unsubscribed(channel) {
    this.#first.channels.delete(channel)
    this.#later = this.#later.filter((s) => !s.channels.has(channel))
  }

  /** @param {{id?: number, code: string, error: string, retry_after?: number}} frame */
  #refused({ id, code, error, retry_after = 0 }) {
    const command = this.#pending.get(id ?? 0)
    if (!command) return
    if (code === "unavailable" && command.resend) {
      const ws = this.#ws // a new connection sends it anyway
      setTimeout(() => ws === this.#ws && this.#pending.has(id ?? 0) && this.#send(command.frame), Math.max(1, retry_after) * 1000)
      return
    }
    this.#pending.delete(id ?? 0)
    command.reject(new BusError(code, error, retry_after))
  }

  /** @param {Message} message */
  #deliver(message) {
    const stream = this.#later.find((s) => s.channels.has(message.channel)) ?? this.#later.find((s) => s.channels.has("*")) ?? this.#first
    if (this.#behind || message.id <= (stream.after ?? 0)) return
    const taker = this.#takers.shift()
    const listened = (this.#listeners.get("message")?.size ?? 0) > 0
    if (!taker && !listened && this.#queue.length >= (this.#options.max_queue ?? 10_000)) {
      this.#behind = true
      return
    }
    stream.after = message.id
    if (listened) this.#emit("message", message)
    if (taker) taker.resolve({ done: false, value: message })
    else if (!listened) this.#queue.push(message)
  }

  /** @returns {Promise<IteratorResult<Message>>} */
  #take() {
    const value = this.#queue.shift()
    if (this.#behind && this.#queue.length === 0) {
      this.#behind = false
      if (this.#status.state === "live") this.#dial() // what was left on the hub
    }
    if (value) return Promise.resolve({ done: false, value })
    return new Promise((resolve, reject) => {
      if (this.#error) this.#finish({ resolve, reject })
      else this.#takers.push({ resolve, reject })
    })
  }

  /** @param {{resolve: (r: IteratorResult<Message>) => void, reject: (e: unknown) => void}} taker */
  #finish({ resolve, reject }) {
    if (this.#error?.code === "closed") resolve({ done: true, value: undefined })
    else reject(this.#error)
  }

  // What we say.

  /**
   * @param {Record<string, unknown>} frame @param {boolean} resend @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  #command(frame, resend, signal) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      if (this.#error) throw this.#error
      const id = ++this.#lastCommand
      frame = { ...frame, id }
      if (new TextEncoder().encode(JSON.stringify(frame)).length > MAX_FRAME) {
        throw new BusError("too_large", "the message is larger than the hub takes: share it as data")
      }
      this.#pending.set(id, { frame, resend, resolve, reject })
      signal?.addEventListener("abort", () => this.#pending.delete(id) && reject(signal.reason), { once: true })
      if (this.#status.state === "live" || !resend) this.#send(frame)
    })
  }

  /** @param {Record<string, unknown>} frame */
  #send(frame) {
    if (this.#ws?.readyState === 1) this.#ws.send(JSON.stringify(frame))
  }

  /** @template {keyof Events} E @param {E} event @param {Events[E]} detail */
  #emit(event, detail) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(detail)
      } catch (error) {
        queueMicrotask(() => {
          throw error // as an uncaught one: a listener's mistake is not ours
        })
      }
    }
  }
}

/** @param {string | URL} url @param {Options} options */
function address(url, { instance_id, presence }) {
  const u = new URL(url)
  u.protocol = u.protocol.replace(/^http/, "ws")
  if (!u.pathname.endsWith("/ws")) u.pathname = u.pathname.replace(/\/*$/, "/ws")
  if (instance_id) u.searchParams.set("instance_id", instance_id)
  if (presence) u.searchParams.set("presence", "1")
  u.hash = ""
  return u.href
}

/** Writes a name as the hub does. @param {string} name */
function channelName(name) {
  if (name.trim() === "*") return "*"
  return name.toLowerCase().replace(/[^a-z0-9\s_-]/g, "").replace(/[\s_-]+/g, "-").replace(/^-|-$/g, "")
}

/** @param {string} text */
function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text))
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
}

/** Works where crypto.randomUUID does not: on pages that came by plain HTTP. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("")
}

/** @param {Subscribed} frame @returns {Subscribed} */
function pickSubscribed({ channel, last_id, recovered }) {
  return { channel, last_id, recovered }
}

/** @param {unknown} value */
function asNumber(value) {
  return typeof value === "number" ? value : null
}
