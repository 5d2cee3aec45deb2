import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { createChannel, pause, release, retain, signIn, words } from '../actions'
import { api } from '../api'
import { help } from '../keys'
import { go, to } from '../route'
import { channels, dialog, me, say, session, type Dialog } from '../state'
import { bytes } from '../time'

const close = () => { dialog.value = null }

interface Props {
  title: string
  does?: string // what the button says; without it there is none
  danger?: boolean
  act?: (form: FormData) => Promise<void>
  children: ComponentChildren
}

// Ask is one question in a box. What goes wrong is said in it, and what was typed stays.
function Ask({ title, does, danger, act, children }: Props) {
  const box = useRef<HTMLDialogElement>(null)
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null
    box.current!.showModal()
    box.current!.querySelector<HTMLElement>('[data-first]')?.focus()
    return () => before?.focus({ preventScroll: true })
  }, [])
  const submit = async (e: SubmitEvent) => {
    e.preventDefault()
    if (!act || busy) return
    setBusy(true)
    setError('')
    try {
      await act(new FormData(e.currentTarget as HTMLFormElement))
    } catch (err) {
      setError(words(err))
    }
    setBusy(false)
  }
  return (
    <dialog ref={box} class="card" aria-label={title} onClose={close} onCancel={close}
      onClick={(e) => { if (e.target === box.current) close() }}>
      <form onSubmit={submit}>
        <h2>{title}</h2>
        {children}
        {error && <p class="error" role="alert">{error}</p>}
        <p class="buttons">
          <button type="button" onClick={close}>{does ? 'Cancel' : 'Close'}</button>
          {does && <button class={danger ? 'danger' : 'primary'} disabled={busy}>{busy ? 'One moment …' : does}</button>}
        </p>
      </form>
    </dialog>
  )
}

const text = (form: FormData, name: string) => String(form.get(name) ?? '').trim()

export function Dialogs({ dialog: d }: { dialog: Dialog }) {
  switch (d.is) {
    case 'name': return <AskName then={d.then} />
    case 'channel': return <AskChannel />
    case 'share': return <AskData ch={d.ch} />
    case 'pause':
      return (
        <Ask title={`Pause #${d.ch}`} does="Pause" act={async (f) => { await pause(d.ch, text(f, 'reason')); close(); say(`#${d.ch} is paused.`) }}>
          <p>Until you resume it every message to this channel is refused, with your reason. Nothing that was said is lost.</p>
          <label>Reason, which agents read <input name="reason" maxLength={500} data-first placeholder="such as: wait for my review" /></label>
        </Ask>
      )
    case 'keep': return <AskKeep ch={d.ch} />
    case 'delete':
      return (
        <Ask title="Delete shared data" does="Delete" danger act={async () => {
          await api.deleteData(d.key, me.value)
          close()
          go(to.data())
          say(`${d.key} is deleted.`)
        }}>
          <p>Delete <strong>{d.key}</strong> for everyone? This cannot be undone.</p>
        </Ask>
      )
    case 'release':
      return (
        <Ask title="Release a name" does="Release" danger act={async () => { await release(d.id); close(); say(`${d.id} is free again.`) }}>
          <p>Release <strong>{d.id}</strong>? It leaves the list, and anybody may register under this name again. Its messages stay.</p>
        </Ask>
      )
    case 'keys':
      return (
        <Ask title="Keyboard">
          <dl class="keys">{help.map(([key, what]) => <div key={key}><dt>{key.split('  ').map((k) => <kbd key={k}>{k}</kbd>)}</dt><dd>{what}</dd></div>)}</dl>
        </Ask>
      )
  }
}

function AskName({ then }: { then?: () => void }) {
  const keyed = session.value.key_needed
  return (
    <Ask title={me.value ? 'Speak under another name' : 'Your name'} does="That is me" act={async (f) => {
      await signIn(text(f, 'key'), text(f, 'name'))
      close()
      then?.()
    }}>
      <p>Others see it beside what you write, marked as a person.</p>
      <label>Name <input name="name" required maxLength={200} data-first autocomplete="username" defaultValue={me.value} /></label>
      {keyed && <label>Key <input name="key" type="password" required autocomplete="current-password" /></label>}
    </Ask>
  )
}

function AskChannel() {
  return (
    <Ask title="Create a channel" does="Create" act={async (f) => { await createChannel(text(f, 'name'), text(f, 'description')); close() }}>
      <label>Name <input name="name" required maxLength={100} data-first placeholder="auth-redesign" /></label>
      <label>What it is for <input name="description" maxLength={2000} placeholder="can be set only now" /></label>
    </Ask>
  )
}

// AskKeep asks what a channel keeps. What it does not, the hub removes within seconds, so the button warns.
function AskKeep({ ch }: { ch: string }) {
  const { keep_days: days, keep_messages: messages } = channels.value.get(ch) ?? {}
  const [how, setHow] = useState(days === undefined && messages === undefined ? 'hub' : days || messages ? 'some' : 'all')
  const number = (f: FormData, name: string) => Number(text(f, name)) || 0
  return (
    <Ask title={`What #${ch} keeps`} does="Keep" danger={how !== 'all'} act={async (f) => {
      const keep = { keep_days: number(f, 'days'), keep_messages: number(f, 'messages') }
      if (how === 'some' && !keep.keep_days && !keep.keep_messages) throw new Error('Give a number of days, of messages, or both.')
      await retain(ch, how === 'hub' ? {} : how === 'all' ? { keep_days: 0 } : keep)
      close()
      say(`#${ch} keeps that from now on.`)
    }}>
      <label>Messages stay <select name="how" data-first value={how} onChange={(e) => setHow(e.currentTarget.value)}>
        <option value="hub">as long as the hub keeps them elsewhere</option>
        <option value="all">for good</option>
        <option value="some">while they are new enough</option>
      </select></label>
      {how === 'some' && <div class="pair">
        <label>Days, at most <input name="days" type="number" min={1} max={36500} placeholder="any age" defaultValue={days || ''} /></label>
        <label>Messages, at most <input name="messages" type="number" min={100} placeholder="any number" defaultValue={messages || ''} /></label>
      </div>}
      <p>{how === 'all' ? 'Nothing is removed from this channel.' : 'Older messages are removed for everyone, within seconds. This cannot be undone.'}</p>
    </Ask>
  )
}

const mostData = 16 << 20

function AskData({ ch }: { ch: string }) {
  const [content, setContent] = useState('')
  const [key, setKey] = useState('')
  const [problem, setProblem] = useState('')
  const pick = async (file: File | undefined) => {
    setProblem('')
    if (!file) return
    if (file.size > mostData) {
      setProblem(`The file has ${bytes(file.size)}; at most ${bytes(mostData)} can be shared.`)
      return
    }
    try {
      setContent(new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer()))
      if (!key) setKey(file.name)
    } catch {
      setProblem('The file is no text in UTF-8. Only text can be shared.')
    }
  }
  return (
    <Ask title={ch ? `Share data in #${ch}` : 'Share data'} does="Share" act={async (f) => {
      const shared = await api.share({ key: text(f, 'key'), content, sender: me.value, description: text(f, 'description'), channel: ch, if_version: f.get('replace') ? undefined : 0 })
      close()
      go(to.data(shared.key))
      say(`${shared.key} is shared.`)
    }}>
      <label>Key <input name="key" required maxLength={200} data-first value={key} onInput={(e) => setKey(e.currentTarget.value)} placeholder="schema.json" /></label>
      <label>What it is <input name="description" maxLength={2000} /></label>
      <label>Content <textarea name="content" rows={8} required value={content} onInput={(e) => setContent(e.currentTarget.value)} /></label>
      <label>or a file <input type="file" onChange={(e) => void pick(e.currentTarget.files?.[0])} /></label>
      <label class="check"><input type="checkbox" name="replace" /> Replace what has this key already</label>
      {problem && <p class="error" role="alert">{problem}</p>}
    </Ask>
  )
}
