// The keyboard: single letters while nothing is being written.
import { channelList, dialog, drawer, here } from './state'
import { step } from './actions'
import { go, route, to } from './route'
import { lastChannel } from './kept'

export const help: [string, string][] = [
  ['/', 'search'],
  ['f', 'find a channel'],
  ['c', 'write a message'],
  ['j  k', 'next, previous message'],
  ['r', 'reply to the message in focus'],
  ['e', 'unfold the message in focus'],
  ['Alt ↓  Alt ↑', 'next, previous channel'],
  ['End', 'newest message'],
  ['Esc', 'close, or back to the messages'],
  ['?', 'this help'],
]

const focus = (selector: string) => {
  const el = document.querySelector<HTMLElement>(selector)
  el?.focus()
  return el !== null
}

function move(by: number) {
  const all = [...document.querySelectorAll<HTMLElement>('[data-message]')]
  if (all.length === 0) return
  const at = all.indexOf(document.activeElement?.closest<HTMLElement>('[data-message]') as HTMLElement)
  const next = all[at < 0 ? all.length - 1 : Math.min(Math.max(at + by, 0), all.length - 1)]
  next?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}

const press = (selector: string) =>
  document.activeElement?.closest('[data-message]')?.querySelector<HTMLElement>(selector)?.click()

function escape(writing: boolean) {
  if (dialog.value) dialog.value = null
  else if (drawer.value) drawer.value = ''
  else if (route.value.view === 'search') go(to.channel(route.value.ch || lastChannel.value))
  else if (writing) (document.activeElement as HTMLElement).blur()
}

export function listenToKeys() {
  addEventListener('keydown', (e) => {
    const t = e.target as HTMLElement
    const writing = t.matches('input, textarea, select')
    if (e.key === 'Escape') {
      escape(writing)
      return
    }
    if (e.altKey && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
      e.preventDefault()
      step(channelList.value.map((ch) => ch.name), e.key === 'ArrowDown' ? 1 : -1)
      return
    }
    if (writing || e.ctrlKey || e.metaKey || e.altKey || dialog.value) return
    const done = act(e.key)
    if (done) e.preventDefault()
  })
}

function act(key: string): boolean {
  switch (key) {
    case '/': return focus('#search')
    case 'f':
      if (innerWidth < 800) drawer.value = 'left'
      return focus('#find-channel')
    case 'c': return focus('#compose')
    case 'j': move(1); return true
    case 'k': move(-1); return true
    case 'r': press('[data-reply]'); return true
    case 'e': press('[data-fold]'); return true
    case 'End':
      if (!here.value) return false
      document.querySelector<HTMLElement>('[data-latest]')?.click()
      return true
    case '?': dialog.value = { is: 'keys' }; return true
  }
  return false
}
