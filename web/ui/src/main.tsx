import { effect } from '@preact/signals'
import { render } from 'preact'
import './theme.css'
import './app.css'
import './message.css'
import { listenToKeys } from './keys'
import { open, refresh } from './hub'
import { lastChannel } from './kept'
import { App } from './parts/App'
import { go, route, to } from './route'
import { stage, unreadSum } from './state'

effect(() => {
  if (route.value.view === 'home') go(to.channel(lastChannel.peek()), true)
})
const root = document.getElementById('app')!
root.replaceChildren()
render(<App />, root)
listenToKeys()
void open()

// What is not told live is asked for once a minute by a page that is looked at; that also counts as being here.
setInterval(() => {
  if (stage.value === 'ready' && !document.hidden) void refresh()
}, 60_000)

effect(() => {
  const n = unreadSum.value
  const r = route.value
  document.title = `${n > 0 ? `(${n > 999 ? '999+' : n}) ` : ''}${r.view === 'channel' ? `#${r.ch} · ` : ''}Crosstalk`
})
