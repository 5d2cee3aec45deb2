// A client made of an official SDK: of its first generation, which begins with initialize, or of its second, which prefers
// 2026-07-28. It registers, sends, waits, and tells on standard output what it sees, a line each:
//
//     node client.cjs FOLDER v1|v2 http|sse URL
//     node client.cjs FOLDER v1|v2 stdio COMMAND [ARGUMENT...]
'use strict'
const { createRequire } = require('node:module')
const [folder, generation, kind, target, ...rest] = process.argv.slice(2)
const load = createRequire(folder + '/')
const second = generation === 'v2'
const from = (path) => load(second ? '@modelcontextprotocol/client' : '@modelcontextprotocol/sdk/client/' + path)

function transport() {
  switch (kind) {
    case 'http':
      return new (from('streamableHttp.js').StreamableHTTPClientTransport)(new URL(target))
    case 'sse':
      return new (from('sse.js').SSEClientTransport)(new URL(target))
    default: {
      const { StdioClientTransport } = second ? load('@modelcontextprotocol/client/stdio') : from('stdio.js')
      return new StdioClientTransport({ command: target, args: rest, env: process.env })
    }
  }
}

function tell(what, text) {
  console.log(what + ' ' + JSON.stringify(text))
}

async function main() {
  const client = new (from('index.js').Client)({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } })
  await client.connect(transport())
  tell('server', client.getServerVersion().name)
  tell('protocol', second ? client.getNegotiatedProtocolVersion() : '2025-11-25')
  tell('tools', (await client.listTools()).tools.length)
  const call = async (name, args, options) => {
    const request = { name, arguments: args }
    const result = second ? await client.callTool(request, options) : await client.callTool(request, undefined, options)
    return result.content[0].text
  }
  tell('register', await call('register', { instance_id: 'ts', description: 'the SDK' }))
  tell('send', await call('send_message', { channel: 'lobby', sender: 'ts', content: 'hello' }))
  const beats = []
  tell('wait', await call('wait_for_reply', { channel: 'lobby', instance_id: 'ts' }, {
    onprogress: (p) => {
      if (beats.push(p.progress) === 1) tell('progress', p.message)
    },
    timeout: 60000
  }))
  const left = new AbortController()
  const cancelled = call('wait_for_reply', { channel: 'lobby', instance_id: 'ts' }, { onprogress: () => left.abort('enough'), signal: left.signal })
  await cancelled.then((text) => tell('cancelled', text), (e) => tell('cancelled', String(e)))
  tell('check', await call('check_messages', { channel: 'lobby', instance_id: 'ts' }))
  if (kind === 'http' && !second) await client.transport.terminateSession()
  await client.close()
  tell('end', '')
}

main().catch((e) => {
  console.error(e)
  process.exit(1)
})
