// Desktop notifications, for the channels that were chosen, while nobody looks.
import type { Message } from './api'
import { watched } from './kept'
import { go, to } from './route'
import { here, say } from './state'
import { glance } from './text'

export const canNotify = () => 'Notification' in window && window.isSecureContext

export async function watch(ch: string) {
  if (watched.value.includes(ch)) {
    watched.value = watched.value.filter((name) => name !== ch)
    return
  }
  if (!canNotify()) {
    say('This browser shows notifications only for pages from HTTPS or localhost.', true)
    return
  }
  const leave = Notification.permission === 'default' ? await Notification.requestPermission() : Notification.permission
  if (leave !== 'granted') {
    say('The browser does not allow notifications from this page: its settings can change that.', true)
    return
  }
  watched.value = [...watched.value, ch]
  say(`You will be notified of new messages in #${ch}.`)
}

// notify tells of the newest message of each watched channel, unless it is in view.
export function notify(batch: Message[]) {
  if (!canNotify() || Notification.permission !== 'granted') return
  const latest = new Map<string, Message>()
  for (const m of batch) if (watched.value.includes(m.channel)) latest.set(m.channel, m)
  for (const m of latest.values()) {
    if (!document.hidden && document.hasFocus() && here.value === m.channel) continue
    const n = new Notification(`${m.sender} in #${m.channel}`, { body: glance(m.content, 180), tag: `crosstalk-${m.channel}` })
    n.onclick = () => {
      window.focus()
      go(to.message(m.channel, m.id))
      n.close()
    }
  }
}
