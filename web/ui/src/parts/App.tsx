import { route } from '../route'
import { announcement, dialog, drawer, stage, toasts, trouble } from '../state'
import { open } from '../hub'
import { details } from '../kept'
import { Banner } from './Banner'
import { Data } from './Data'
import { Details } from './Details'
import { Dialogs } from './Dialogs'
import { People } from './People'
import { Search } from './Search'
import { Sidebar } from './Sidebar'
import { SignIn } from './SignIn'
import { Stream } from './Stream'

export function App() {
  switch (stage.value) {
    case 'opening':
      return <p class="boot" role="status">Opening the hub …</p>
    case 'sign-in':
      return <SignIn />
    case 'failed':
      return (
        <main class="boot">
          <h1>The hub does not answer as it should</h1>
          <p role="alert">{trouble.value}</p>
          <button class="primary" onClick={() => void open()}>Try again</button>
        </main>
      )
  }
  return <Ready />
}

function Ready() {
  const r = route.value
  return (
    <div class="frame" data-drawer={drawer.value} data-details={details.value && r.view === 'channel' ? 'shown' : 'hidden'}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById('main')?.focus() }}>Skip to the messages</a>
      <Sidebar />
      <main id="main" tabIndex={-1}>
        <Banner />
        {r.view === 'channel' && <Stream key={r.ch} ch={r.ch} id={r.id} />}
        {r.view === 'search' && <Search q={r.q} ch={r.ch} />}
        {r.view === 'data' && <Data selected={r.key} />}
        {r.view === 'people' && <People />}
      </main>
      {r.view === 'channel' && <Details ch={r.ch} />}
      {drawer.value && <button class="veil" aria-label="Close" onClick={() => { drawer.value = '' }} />}
      {dialog.value && <Dialogs dialog={dialog.value} />}
      <p class="unseen" role="status" aria-live="polite">{announcement.value}</p>
      <div class="toasts" role="status" aria-live="polite">
        {toasts.value.map((t) => <p key={t.id} class={t.bad ? 'bad' : ''}>{t.text}</p>)}
      </div>
    </div>
  )
}
