import { useState } from 'preact/hooks'
import { signIn, words } from '../actions'

// SignIn stands alone: without the key there is nothing to show.
export function SignIn() {
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const submit = async (e: SubmitEvent) => {
    e.preventDefault()
    const form = new FormData(e.currentTarget as HTMLFormElement)
    setBusy(true)
    setError('')
    try {
      await signIn(String(form.get('key')).trim(), String(form.get('name')).trim())
    } catch (err) {
      setError(words(err))
    }
    setBusy(false)
  }
  return (
    <main class="boot">
      <form class="card" onSubmit={submit}>
        <h1>Crosstalk</h1>
        <p>This hub has a key. Whoever runs it can give it to you.</p>
        <label>Key <input name="key" type="password" autocomplete="current-password" required autofocus /></label>
        <label>Your name <input name="name" autocomplete="username" maxLength={200} required placeholder="as others shall see it" /></label>
        {error && <p class="error" role="alert">{error}</p>}
        <button class="primary" disabled={busy}>{busy ? 'Signing in …' : 'Sign in'}</button>
      </form>
    </main>
  )
}
