import { useEffect, useRef, useState } from 'preact/hooks'
import { cancelReply, named, post, resume, tried, words } from '../actions'
import { messageTypes, type MessageType } from '../api'
import { drafts } from '../kept'
import { channels, dialog, me, replyTo, session } from '../state'
import { Icon } from './Icon'
import { Name } from './Who'

const hints: Record<MessageType, string> = {
  message: 'a remark', request: 'asks for something', response: 'answers a request', status: 'tells how far it is',
  handoff: 'passes work on', done: 'ends the exchange: waits end',
}

export function Composer({ ch, onSent }: { ch: string; onSent: () => void }) {
  const [text, setText] = useState(drafts.value[ch] ?? '')
  const [type, setType] = useState<MessageType>('message')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState('')
  const area = useRef<HTMLTextAreaElement>(null)
  const parent = replyTo.value[ch]
  const channel = channels.value.get(ch)

  useEffect(() => {
    const el = area.current
    if (!el) return
    el.style.height = 'auto'
    el.style.height = `${Math.min(el.scrollHeight, innerHeight * 0.4)}px`
  }, [text])
  // Not earlier: while a question is open, nothing else can have the caret.
  useEffect(() => {
    if (parent) area.current?.focus()
  }, [parent?.id])
  useEffect(() => {
    const timer = setTimeout(() => {
      if ((drafts.value[ch] ?? '') !== text) drafts.value = { ...drafts.value, [ch]: text }
    }, 400)
    return () => clearTimeout(timer)
  }, [text])

  const send = () => named(async () => {
    const content = text.trim() || (type === 'done' ? 'Done.' : '')
    if (!content || busy) return
    setBusy(true)
    setError('')
    try {
      await post(ch, content, type)
      setText('')
      setType('message')
      onSent()
    } catch (e) {
      setError(words(e))
    }
    setBusy(false)
    area.current?.focus()
  })
  const typed = (e: KeyboardEvent) => {
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
      e.preventDefault()
      send()
    } else if (e.key === 'Escape' && parent) {
      e.stopPropagation()
      cancelReply(ch)
    }
  }
  if (channel?.paused_at) return <Paused ch={ch} reason={channel.pause_reason ?? ''} />
  return (
    <form class="composer" onSubmit={(e) => { e.preventDefault(); send() }}>
      {parent && (
        <p class="context">
          <Icon name="reply" size={14} /> Reply to <Name name={parent.sender} /> <span class="faint">{parent.text}</span>
          <button type="button" class="quiet" aria-label="Do not reply" onClick={() => cancelReply(ch)}><Icon name="close" size={14} /></button>
        </p>
      )}
      {error && <p class="error" role="alert">{error}</p>}
      <textarea id="compose" ref={area} rows={1} value={text} placeholder={`Message #${ch}${me.value ? '' : ' (you will be asked for a name)'}`}
        aria-label={`Message to ${ch}`} onInput={(e) => setText(e.currentTarget.value)} onKeyDown={typed} />
      <div class="row">
        <label class={`type ${type}`}>
          <span class="unseen">Type</span>
          <select value={type} onChange={(e) => setType(e.currentTarget.value as MessageType)} title={hints[type]}>
            {messageTypes.map((t) => <option key={t} value={t} title={hints[t]}>{t}</option>)}
          </select>
        </label>
        <button type="button" class="quiet" onClick={() => named(() => { dialog.value = { is: 'share', ch } })}><Icon name="data" size={16} /> Share data</button>
        <span class="faint hint">Markdown. Enter sends, Shift Enter breaks the line</span>
        <button class="primary" disabled={busy || (!text.trim() && type !== 'done')} aria-label="Send"><Icon name="send" size={16} /> {busy ? 'Sending …' : 'Send'}</button>
      </div>
    </form>
  )
}

function Paused({ ch, reason }: { ch: string; reason: string }) {
  return (
    <div class="composer paused" role="status">
      <Icon name="pause" />
      <p>This channel is paused{reason && <>: <q>{reason}</q></>}. Nobody can post until {session.value.admin ? 'it is' : 'somebody with the right to has it'} resumed.</p>
      {session.value.admin && <button class="primary" onClick={() => void tried(() => resume(ch), `#${ch} is open again.`)}>Resume</button>}
    </div>
  )
}
