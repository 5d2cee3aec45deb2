// Run by `go test ./clients`, or: node --test
import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"
import { BusError, connect } from "./crosstalk.js"

/** The sockets that were opened in this test. @type {FakeSocket[]} */
let sockets = []

/** Stands for a WebSocket whose other end is the test. */
class FakeSocket {
  readyState = 0
  /** @type {any[]} */ sent = []
  /** @type {((event: any) => void) | null} */ onmessage = null
  /** @type {((event: any) => void) | null} */ onclose = null
  /** @type {((event: any) => void) | null} */ onerror = null
  closed = false

  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    this.url = new URL(url)
    this.protocols = protocols
    sockets.push(this)
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text))
  }

  close() {
    this.closed = true
  }

  /** What the hub says. @param {object} frame */
  say(frame) {
    this.readyState = 1
    this.onmessage?.({ data: JSON.stringify(frame) })
  }

  welcome(bus_id = "b1") {
    this.say({ type: "welcome", server: "crosstalk", version: "1", bus_id, ping_seconds: 25 })
  }

  /** @param {number} id @param {string} [channel] */
  message(id, channel = "demo") {
    this.say({ type: "message", message: { id, channel, content: `text ${id}` } })
  }

  /** @param {number} last_id @param {object} [more] */
  subscribed(last_id, more = {}) {
    this.say({ type: "subscribed", channel: "demo", last_id, recovered: true, ...more })
  }

  /** @param {number} code @param {string} [reason] */
  end(code, reason = "") {
    this.readyState = 3
    this.onclose?.({ code, reason })
  }

  get after_id() {
    return this.url.searchParams.get("after_id")
  }
}

/** Lets promises settle. */
const settle = async () => {
  for (let i = 0; i < 5; i++) await null
}

/** @param {import("./crosstalk.js").Options} [options] */
async function open(options) {
  const bus = connect("http://hub.example:1", { WebSocket: FakeSocket, channels: "demo", ...options })
  /** @type {[string, any][]} */ const events = []
  for (const name of /** @type {const} */ (["status", "gap", "replaced", "presence", "error", "subscribed"])) {
    bus.on(name, (detail) => events.push([name, detail]))
  }
  await settle()
  return { bus, events, names: () => events.map(([name, d]) => (name === "status" ? d.state : name)) }
}

/** The newest socket, after so many seconds. @param {number} seconds */
function after(seconds) {
  for (let passed = 0; passed < seconds; passed += 0.5) mock.timers.tick(500)
  return sockets[sockets.length - 1]
}

beforeEach(() => {
  sockets = []
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 })
})
afterEach(() => {
  mock.timers.reset()
  mock.restoreAll()
})

test("asks for what the options name, and offers the key where no log sees it", async () => {
  await open({ channels: ["My Channel", " b_c "], after_id: 7, instance_id: "bob", presence: true, key: "schlüssel?>" })
  const [{ url, protocols }] = sockets
  assert.equal(url.href, "ws://hub.example:1/ws?instance_id=bob&presence=1&channels=my-channel%2Cb-c&after_id=7")
  assert.equal(protocols[0], "crosstalk.v1")
  assert.equal(Buffer.from(protocols[1].replace("bearer.", ""), "base64url").toString(), "schlüssel?>")
  assert.doesNotMatch(protocols[1], /[+/=]/)
  for (const url of ["wss://h", "https://h/", "https://h/ws"]) connect(url, { WebSocket: FakeSocket })
  await settle()
  assert.deepEqual(sockets.slice(1).map((s) => s.url.href), ["wss://h/ws", "wss://h/ws", "wss://h/ws"])
})

test("resumes after the last message, and drops what it has", async () => {
  const { bus } = await open()
  assert.equal(sockets[0].after_id, null)
  sockets[0].welcome()
  sockets[0].subscribed(10)
  sockets[0].message(11)
  sockets[0].end(1006)
  const s = after(1)
  assert.equal(s.after_id, "11")
  s.welcome()
  s.subscribed(12)
  for (const id of [11, 12, 12, 13]) s.message(id)
  const seen = []
  for await (const m of bus) if (seen.push(m.id) === 3) break
  assert.deepEqual(seen, [11, 12, 13])
})

test("resumes from where it came in when nothing was said, and from positions", async () => {
  await open()
  sockets[0].welcome()
  sockets[0].subscribed(10)
  sockets[0].end(1006)
  let s = after(1)
  assert.equal(s.after_id, "10")
  s.welcome()
  s.subscribed(40)
  s.say({ type: "position", last_id: 40 })
  s.end(4008)
  s = after(2)
  assert.equal(s.after_id, "40")
})

test("a cursor beyond the head is moved back, and the gap is told", async () => {
  const { bus, events } = await open({ after_id: 500 })
  sockets[0].welcome()
  sockets[0].subscribed(20, { recovered: false })
  sockets[0].message(21)
  assert.deepEqual(events.find(([name]) => name === "gap")?.[1], { channel: "demo", last_id: 20, recovered: false })
  assert.equal((await bus[Symbol.asyncIterator]().next()).value.id, 21)
})

test("starts over when the bus is another one, and says so", async () => {
  const { bus, events } = await open({ after_id: 500, bus_id: "b0" })
  sockets[0].welcome("b1")
  sockets[0].message(3) // not heard: it came after the wrong cursor
  assert.deepEqual(events.find(([name]) => name === "replaced")?.[1], { bus_id: "b1", before: "b0" })
  assert.ok(sockets[0].closed)
  assert.equal(sockets[1].after_id, "0")
  sockets[1].welcome("b1")
  sockets[1].subscribed(3)
  sockets[1].message(1)
  assert.equal((await bus[Symbol.asyncIterator]().next()).value.id, 1)
  assert.equal(bus.bus_id, "b1")
})

test("close in the listener of replaced ends it", async () => {
  const { bus } = await open({ after_id: 5, bus_id: "b0" })
  bus.on("replaced", () => bus.close())
  sockets[0].welcome("b1")
  assert.equal(sockets.length, 1)
  assert.equal(bus.status.state, "closed")
})

test("backs off from 0.5 s to 20 s, at random, and less after a long life", async () => {
  for (const [chance, want] of /** @type {const} */ ([[0, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]], [1, [1, 2, 4, 8, 16, 20, 20]]])) {
    sockets = []
    mock.method(Math, "random", () => chance)
    const { bus } = await open()
    for (const seconds of want) {
      sockets[sockets.length - 1].end(1006)
      assert.deepEqual(bus.status, { state: "waiting", seconds, code: 1006, reason: "" })
      after(seconds)
    }
    const s = sockets[sockets.length - 1]
    s.welcome()
    after(21)
    s.end(1006)
    assert.equal(bus.status.seconds, want[0])
    bus.close()
  }
})

test("comes back when the hub says so", async () => {
  const { bus } = await open()
  sockets[0].welcome()
  sockets[0].end(1012, "restarting; retry in 740 ms")
  assert.deepEqual(bus.status, { state: "waiting", seconds: 0.74, code: 1012, reason: "restarting; retry in 740 ms" })
  const s = after(1)
  s.end(4429, "too many; retry in 90 s")
  assert.equal(bus.status.seconds, 90)
  assert.equal(after(89), s)
  assert.notEqual(after(1), s)
})

for (const [code, name] of /** @type {const} */ ([[4401, "unauthenticated"], [4403, "forbidden"], [4400, "invalid"], [1009, "too_large"]])) {
  test(`${code} ends it with ${name}`, async () => {
    const { bus } = await open()
    const published = bus.publish("demo", "x")
    const next = bus[Symbol.asyncIterator]().next()
    sockets[0].end(code, "why")
    const expected = { name: "BusError", code: name, message: "why" }
    await assert.rejects(next, expected)
    await assert.rejects(published, expected)
    await assert.rejects(bus.publish("demo", "y"), expected)
    await assert.rejects(bus[Symbol.asyncIterator]().next(), expected)
    assert.equal(bus.status.state, "closed")
    after(60)
    assert.equal(sockets.length, 1)
  })
}

test("a connection that says nothing is asked, then given up", async () => {
  const { bus } = await open()
  sockets[0].welcome()
  assert.equal(after(24).sent.length, 0)
  assert.deepEqual(after(2).sent, [{ type: "ping" }])
  sockets[0].say({ type: "pong" })
  after(49)
  assert.equal(bus.status.state, "live")
  after(12.5)
  assert.equal(bus.status.reason, "nothing was heard for 50 s")
  assert.ok(sockets[0].closed)
  sockets[0].message(9) // from the dead
  assert.notEqual(after(1), sockets[0])
})

test("a connection that does not begin is given up", async () => {
  const { bus } = await open()
  after(19)
  assert.equal(bus.status.state, "connecting")
  after(1)
  assert.equal(bus.status.state, "waiting")
})

test("an error without a close counts as one, as in Node 22", async () => {
  const { bus } = await open()
  sockets[0].onerror?.({ message: "refused" })
  after(0.5)
  assert.deepEqual([bus.status.state, bus.status.reason], ["waiting", "refused"])
})

test("retry reconnects at once, and finds out whether a connection lives", async () => {
  const { bus } = await open()
  sockets[0].end(1006)
  bus.retry()
  assert.equal(sockets.length, 2)
  sockets[1].welcome()
  mock.timers.tick(1)
  bus.retry()
  after(5)
  assert.deepEqual(bus.status.reason, "no answer")
  after(2).welcome()
  mock.timers.tick(1)
  bus.retry()
  sockets[2].say({ type: "pong" })
  after(6)
  assert.equal(bus.status.state, "live")
})

test("publishes what was not answered again, in order, with the same key", async () => {
  const { bus } = await open({ instance_id: "bob" })
  sockets[0].readyState = 1 // open, but the hub has yet to say which bus it has
  const first = bus.publish("demo", "one", { message_type: "status", in_reply_to: 3 })
  const second = bus.publish("demo", "two")
  assert.deepEqual(sockets[0].sent, [])
  sockets[0].welcome()
  /** @type {any[]} */ const sent = sockets[0].sent
  assert.deepEqual(sent.map((f) => f.content), ["one", "two"])
  assert.deepEqual([sent[0].message_type, sent[0].in_reply_to], ["status", 3])
  assert.notEqual(sent[0].idempotency_key, sent[1].idempotency_key)
  sockets[0].say({ type: "published", id: sent[0].id, message_id: 5, seq: 2, duplicate: false })
  assert.deepEqual(await first, { message_id: 5, seq: 2, duplicate: false })
  sockets[0].end(1006)
  const s = after(1)
  s.welcome()
  assert.deepEqual(s.sent, [sent[1]])
  s.say({ type: "published", id: sent[1].id, message_id: 6, seq: 3, duplicate: true })
  assert.deepEqual(await second, { message_id: 6, seq: 3, duplicate: true })
})

test("a refused publish is rejected, an unavailable hub is asked again", async () => {
  const { bus } = await open()
  sockets[0].welcome()
  const paused = bus.publish("demo", "x")
  sockets[0].say({ type: "error", id: 1, code: "paused", error: "closed for today", retry_after: 0 })
  await assert.rejects(paused, (e) => e instanceof BusError && e.code === "paused" && e.message === "closed for today")
  const later = bus.publish("demo", "y")
  sockets[0].say({ type: "error", id: 2, code: "unavailable", error: "disk full", retry_after: 2 })
  assert.equal(sockets[0].sent.length, 2)
  after(2)
  assert.deepEqual(sockets[0].sent[2], sockets[0].sent[1])
  sockets[0].say({ type: "published", id: 2, message_id: 1, seq: 1, duplicate: false })
  assert.equal((await later).message_id, 1)
})

test("what the hub cannot take is refused here, and can be aborted", async () => {
  const { bus } = await open()
  sockets[0].welcome()
  await assert.rejects(bus.publish("demo", "x".repeat(2 << 20)), { code: "too_large" })
  const stop = new AbortController()
  const published = bus.publish("demo", "x", { signal: stop.signal })
  stop.abort(new Error("enough"))
  await assert.rejects(published, { message: "enough" })
  await assert.rejects(bus.publish("demo", "x", { signal: stop.signal }), { message: "enough" })
})

test("each later subscription has a cursor of its own", async () => {
  const { bus, names } = await open()
  sockets[0].welcome()
  sockets[0].subscribed(10)
  const subscribed = bus.subscribe("Other", { after_id: 2 })
  assert.deepEqual(sockets[0].sent[0], { type: "subscribe", channel: "Other", after_id: 2, exclude_self: false, id: 1 })
  sockets[0].subscribed(10, { id: 1, channel: "other" })
  assert.deepEqual(await subscribed, { channel: "other", last_id: 10, recovered: true })
  sockets[0].message(3, "other")
  sockets[0].message(11)
  sockets[0].message(4, "other")
  sockets[0].end(1006)
  let s = after(1)
  assert.equal(s.after_id, "11")
  s.welcome()
  s.say({ type: "position", last_id: 99 }) // is not about what is yet to be subscribed to
  assert.deepEqual([s.sent[0].channel, s.sent[0].after_id], ["other", 4])
  s.subscribed(12)
  s.subscribed(12, { id: s.sent[0].id, channel: "other" })
  s.message(5, "other")
  const ids = []
  for await (const m of bus) if (ids.push(m.id) === 4) break
  assert.deepEqual(ids, [3, 11, 4, 5])
  const gone = bus.unsubscribe("other")
  s.say({ type: "unsubscribed", id: s.sent[1].id, channel: "other" })
  await gone
  s.end(1006)
  s = after(2)
  s.welcome()
  assert.deepEqual(s.sent, [])
  assert.deepEqual(names().filter((n) => n === "subscribed").length, 4)
})

test("a subscription that is not renewed is told of", async () => {
  const { bus, events } = await open()
  sockets[0].welcome()
  const subscribed = bus.subscribe("secret")
  sockets[0].subscribed(1, { id: 1, channel: "secret" })
  await subscribed
  sockets[0].end(1006)
  const s = after(1)
  s.welcome()
  s.say({ type: "error", id: s.sent[0].id, code: "forbidden", error: "no more" })
  await settle()
  assert.equal(events.find(([name]) => name === "error")?.[1].code, "forbidden")
  s.end(1006)
  const next = after(2)
  next.welcome()
  assert.deepEqual(next.sent, [])
})

test("a hub that cannot renew a subscription now is left for a while", async () => {
  const { bus, names } = await open()
  sockets[0].welcome()
  const subscribed = bus.subscribe("other")
  sockets[0].subscribed(1, { id: 1, channel: "other" })
  await subscribed
  sockets[0].end(1006)
  const s = after(1)
  s.welcome()
  s.say({ type: "error", id: s.sent[0].id, code: "unavailable", error: "no disk", retry_after: 1 })
  await settle()
  assert.deepEqual([bus.status.state, bus.status.reason], ["waiting", "no disk"])
  const next = after(2)
  next.welcome()
  assert.equal(next.sent[0].channel, "other")
  assert.ok(!names().includes("error"))
})

test("a channel of the URL that was unsubscribed from stays so", async () => {
  const { bus } = await open({ channels: "One Two,three" })
  sockets[0].welcome()
  const gone = bus.unsubscribe("one two")
  sockets[0].say({ type: "unsubscribed", id: 1, channel: "one-two" })
  await gone
  sockets[0].end(1006)
  assert.equal(after(1).url.searchParams.get("channels"), "three")
})

test("what a slow loop has no room for stays on the hub", async () => {
  const { bus } = await open({ max_queue: 2 })
  sockets[0].welcome()
  sockets[0].subscribed(0)
  for (const id of [1, 2, 3, 4]) sockets[0].message(id)
  sockets[0].say({ type: "position", last_id: 4 })
  const it = bus[Symbol.asyncIterator]()
  assert.equal((await it.next()).value.id, 1)
  sockets[0].message(5)
  assert.equal((await it.next()).value.id, 2)
  assert.equal(sockets[1].after_id, "2")
  sockets[1].welcome()
  sockets[1].message(3)
  assert.equal((await it.next()).value.id, 3)
})

test("listeners get messages instead of the iteration, and their mistakes stay theirs", async () => {
  const { bus } = await open({ max_queue: 1 })
  const mistakes = mock.method(globalThis, "queueMicrotask", () => {})
  /** @type {number[]} */ const ids = []
  const off = bus.on("message", (m) => {
    ids.push(m.id)
    throw new Error("mine")
  })
  sockets[0].welcome()
  for (const id of [1, 2, 3]) sockets[0].message(id)
  off()
  sockets[0].message(4)
  assert.deepEqual(ids, [1, 2, 3])
  assert.equal(mistakes.mock.callCount(), 3)
  assert.equal((await bus[Symbol.asyncIterator]().next()).value.id, 4)
})

test("tells presence", async () => {
  const { events } = await open()
  sockets[0].welcome()
  sockets[0].say({ type: "presence", instance_id: "al", status: "online" })
  sockets[0].say({ type: "something new" })
  assert.deepEqual(events.find(([name]) => name === "presence")?.[1], { instance_id: "al", status: "online" })
})

test("close ends the loop and all that waits", async () => {
  const stop = new AbortController()
  const { bus, names } = await open({ signal: stop.signal })
  sockets[0].welcome()
  const loop = (async () => {
    for await (const m of bus) assert.fail(`got ${m.id}`)
  })()
  const published = bus.publish("demo", "x")
  stop.abort()
  await loop
  await assert.rejects(published, { code: "closed" })
  assert.ok(sockets[0].closed)
  bus.close()
  assert.deepEqual(names(), ["connecting", "live", "closed"])
  const early = connect("http://h", { WebSocket: FakeSocket, signal: AbortSignal.abort() })
  await settle()
  assert.equal(early.status.state, "closed")
  assert.equal(sockets.length, 1)
})

test("what answers and is no hub is left", async () => {
  const { bus } = await open()
  sockets[0].onmessage?.({ data: "<html>" })
  assert.equal(bus.status.reason, "what answers there is no hub")
})
