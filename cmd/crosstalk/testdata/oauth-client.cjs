// A client made of an official SDK, that signs in: of its first generation (v1) or its second (v2). It prints where its person
// must go, reads from standard input where they came back to, and tells what it sees, a line each:
//
//     node oauth-client.cjs FOLDER v1|v2 URL
'use strict'
const { createRequire } = require('node:module')
const readline = require('node:readline')
const [folder, generation, url] = process.argv.slice(2)
const load = createRequire(folder + '/')
const second = generation === 'v2'
const from = (path) => load(second ? '@modelcontextprotocol/client' : '@modelcontextprotocol/sdk/client/' + path)
const redirect = 'http://127.0.0.1:38919/callback'

function tell(what, text) {
  console.log(what + ' ' + JSON.stringify(text))
}

// Person is what the SDK asks for what a program keeps.
class Person {
  get redirectUrl() { return redirect }
  get clientMetadata() {
    return { client_name: 'SDK ' + generation, redirect_uris: [redirect], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none' }
  }
  state() { return 'state-of-' + generation }
  clientInformation() { return this.client }
  saveClientInformation(client) { this.client = client }
  tokens() { return this.held }
  saveTokens(tokens) { this.held = tokens }
  redirectToAuthorization(to) { tell('authorize', String(to)) }
  saveCodeVerifier(verifier) { this.verifier = verifier }
  codeVerifier() { return this.verifier }
  saveDiscoveryState(state) { this.discovered = state }
  discoveryState() { return this.discovered }
}

async function main() {
  const person = new Person()
  const transport = () => new (from('streamableHttp.js').StreamableHTTPClientTransport)(new URL(url), { authProvider: person })
  const client = () => new (from('index.js').Client)({ name: 'test', version: '1' })
  const first = transport()
  await client().connect(first).then(() => tell('connected', 'without signing in'), (e) => tell('refused', e.constructor.name))
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const back = new URL((await lines.next()).value).searchParams
  if (second) await first.finishAuth(back)
  else await first.finishAuth(back.get('code'))
  const c = client()
  await c.connect(transport())
  const call = async (name, args) => (await c.callTool({ name, arguments: args })).content[0].text
  tell('register', await call('register', { instance_id: 'sdk-' + generation }))
  const before = person.held.refresh_token
  person.held = { ...person.held, access_token: 'ctm_worn-out' }
  tell('send', await call('send_message', { channel: 'lobby', sender: 'sdk-' + generation, content: 'hello' }))
  tell('refreshed', person.held.refresh_token !== before)
  await c.close()
  process.exit(0)
}

main().catch((e) => {
  console.error(e)
  process.exit(1)
})
