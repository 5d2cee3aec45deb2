// Follows red and green as one stream and blue as another, and meanwhile publishes 0, 1, 2 ... to a channel of its own. Prints
// a JSON line for each thing that happens, and ends in order when its input does.
import { connect } from "../../../clients/js/crosstalk.js"

const [url, name, ws] = process.argv.slice(2)
const options = { instance_id: name, channels: "red,green", after_id: 0, min_delay: 0.02, max_delay: 0.3 }
if (ws) options.WebSocket = (await import(ws)).WebSocket
const bus = connect(url, options)
const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n")
for (const event of ["gap", "replaced", "error"]) bus.on(event, (detail) => tell({ wrong: `${event}: ${JSON.stringify(detail)}` }))
bus.on("status", ({ state }) => tell({ state }))

let over = false
process.stdin.on("end", () => (over = true)).resume()

async function follow() {
  for await (const message of bus) tell({ message })
}

async function publish() {
  for (let n = 0; !over; n++) {
    tell({ published: await bus.publish(`own-${name}`, String(n)) })
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  bus.close()
}

await Promise.all([follow(), publish(), bus.subscribe("blue", { after_id: 0 })])
tell({ state: "over" })
