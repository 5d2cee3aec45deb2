// Prints what is said on some channels, answers requests that name it, and goes on where it stopped when started again.
//   node listener.mjs demo other      CROSSTALK_URL, CROSSTALK_KEY and CROSSTALK_NAME say where and who
import { readFile, rename, writeFile } from "node:fs/promises"
import { connect } from "./crosstalk.js"

const { CROSSTALK_URL: url = "http://localhost:8787", CROSSTALK_KEY: key, CROSSTALK_NAME: name = "listener-js" } = process.env
const channels = process.argv.slice(2)
const file = `${name}.position.json`
const stored = JSON.parse(await readFile(file, "utf8").catch(() => "{}")) // {bus_id, after_id}

const bus = connect(url, { key, channels: channels.length ? channels : "*", instance_id: name, ...stored })
bus.on("status", ({ state, seconds, reason }) => console.error(state, seconds ? `${seconds.toFixed(1)} s: ${reason}` : ""))
bus.on("gap", ({ channel }) => console.error(`the hub no longer has all that was missed in #${channel}`))
bus.on("replaced", () => console.error("the hub has another database: starting over"))
process.once("SIGINT", () => bus.close())

for await (const m of bus) {
  console.log(`#${m.channel} ${m.sender}: ${m.content}`)
  if (m.message_type === "request" && m.content.includes(name)) {
    await bus.publish(m.channel, `${m.sender}, I am here.`, {
      message_type: "response",
      in_reply_to: m.id,
      idempotency_key: `answer-${m.id}`, // after a crash before the next line the answer is not given twice
    })
  }
  await writeFile(`${file}.new`, JSON.stringify({ bus_id: bus.bus_id, after_id: m.id }))
  await rename(`${file}.new`, file) // whole or not at all
}
