import { useState } from 'preact/hooks'
import { memo } from './memo'
import { named, words } from '../actions'
import { api, type Message as M } from '../api'
import { go, to } from '../route'
import { replyTo, say } from '../state'
import { glance, markdown } from '../text'
import { bytes, count, exact } from '../time'
import { Icon } from './Icon'
import { Avatar, Name, When } from './Who'

const foldedLength = 1600
const foldedLines = 18

function isLong(text: string): boolean {
  if (text.length > foldedLength) return true
  let lines = 0
  for (let i = -1; (i = text.indexOf('\n', i + 1)) >= 0;) if (++lines > foldedLines) return true
  return false
}

// cut keeps what a folded message can show, so that a book costs no more to draw than a page.
const cut = (text: string) => (text.length > 4000 ? text.slice(0, 4000) : text)

export function reply(m: M) {
  named(() => {
    replyTo.value = { ...replyTo.value, [m.channel]: { id: m.id, sender: m.sender, text: glance(m.content, 90) } }
  })
}

async function copyLink(m: M) {
  const url = location.origin + '/' + to.message(m.channel, m.id)
  try {
    await navigator.clipboard.writeText(url)
    say('The link is copied.')
  } catch {
    go(to.message(m.channel, m.id))
  }
}

export function Body({ message: m }: { message: M }) {
  const [whole, setWhole] = useState<string | null>(null)
  const [unfolded, setUnfolded] = useState(false)
  const text = whole ?? m.content
  const long = isLong(text) || !!m.truncated
  const shown = long && !unfolded ? cut(text) : text
  const unfold = async () => {
    if (!unfolded && m.truncated && whole === null) {
      try {
        setWhole((await api.message(m.channel, m.id)).content)
      } catch (e) {
        say(words(e), true)
        return
      }
    }
    setUnfolded(!unfolded)
  }
  return (
    <>
      <div class={`text ${long && !unfolded ? 'folded' : ''}`} dangerouslySetInnerHTML={markdown(shown)} />
      {long && (
        <button class="fold" data-fold aria-expanded={unfolded} onClick={() => void unfold()}>
          {unfolded ? 'Show less' : `Show all of it (${bytes(m.content_bytes ?? text.length)})`}
        </button>
      )}
    </>
  )
}

interface Props {
  message: M
  target: boolean // the address names it
  joined?: boolean // it goes on from the one above, by the same sender
  inReplyTo?: boolean // its parent is not above it: say which it is
  small?: boolean
}

export const Message = memo(function Message({ message: m, target, joined, inReplyTo, small }: Props) {
  const type = m.message_type
  return (
    <article class={`message type-${type} ${joined ? 'joined' : ''} ${target ? 'target' : ''} ${small ? 'small' : ''}`} id={`m${m.id}`} data-message={m.id}
      tabIndex={0} aria-label={`${m.sender}${m.kind === 'human' ? ', a person' : ''}, ${type}, ${exact(m.created_at)}`}>
      {!joined && <Avatar name={m.sender} kind={m.kind} size={small ? 24 : 32} />}
      <div class="body">
        {!joined && (
          <header>
            <Name name={m.sender} kind={m.kind} />
            {m.verified && m.kind === 'agent' && <span class="verified" title="Verified: nobody else can speak under this name"><Icon name="check" size={13} /><span class="unseen">verified</span></span>}
            {type !== 'message' && <span class={`badge type ${type}`}>{type}</span>}
            {inReplyTo && m.in_reply_to && <a class="faint" href={to.message(m.channel, m.in_reply_to)}>answers #{m.in_reply_to}</a>}
            <a class="faint when" href={to.message(m.channel, m.id)} aria-label={`Link to message ${m.id}`}><When at={m.created_at} long /></a>
          </header>
        )}
        <Body message={m} />
      </div>
      <div class="tools">
        <button class="quiet" data-reply title="Reply (r)" aria-label={`Reply to ${m.sender}`} onClick={() => reply(m)}><Icon name="reply" size={16} /></button>
        <button class="quiet" title={`Copy the link to message ${m.id}, ${exact(m.created_at)}`} aria-label={`Copy the link to message ${m.id}`} onClick={() => void copyLink(m)}><Icon name="link" size={16} /></button>
      </div>
    </article>
  )
})

// Replies shows the last two, and the others when asked: those the page holds, or all that the hub has.
export function Replies({ parent, replies, target }: { parent: M; replies: M[]; target?: number }) {
  const [open, setOpen] = useState(false)
  const [all, setAll] = useState<M[] | null>(null)
  const held = all && all.length > replies.length ? all : replies
  const targeted = target !== undefined && held.findIndex((m) => m.id === target)
  const unfolded = open || (typeof targeted === 'number' && targeted >= 0 && targeted < held.length - 2)
  const shown = unfolded ? held : held.slice(-2)
  // What the hub counts and the page does not hold: it is newer than the stretch that is shown.
  const direct = held.filter((m) => m.in_reply_to === parent.id).length
  const missing = Math.max(0, parent.reply_count - direct)
  const hidden = held.length - shown.length
  if (held.length === 0 && missing === 0) return null
  const load = async () => {
    setOpen(true)
    if (!missing) return
    try {
      setAll((await api.replies(parent.channel, parent.id)).replies)
    } catch (e) {
      say(words(e), true)
    }
  }
  return (
    <div class="replies" role="group" aria-label={count(held.length + missing, 'reply', 'replies')}>
      {hidden + missing > 0 && (
        <button class="fold" aria-expanded={false} onClick={() => void load()}>
          {held.length === 0 ? `Show ${count(missing, 'reply', 'replies')}` : `Show ${count(hidden + missing, 'more reply', 'more replies')}`}
        </button>
      )}
      {open && hidden === 0 && held.length > 2 && <button class="fold" aria-expanded onClick={() => setOpen(false)}>Fold the replies</button>}
      {shown.map((m) => <Message key={m.id} message={m} target={target === m.id} inReplyTo={m.in_reply_to !== parent.id} small />)}
    </div>
  )
}
