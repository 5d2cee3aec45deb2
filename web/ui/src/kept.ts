// What this browser remembers: how far each channel was read, which may notify, the theme, drafts.
import { effect, signal, type Signal } from '@preact/signals'

function kept<T>(key: string, otherwise: T): Signal<T> {
  const name = 'crosstalk.' + key
  const read = (): T => {
    try {
      const s = localStorage.getItem(name)
      return s === null ? otherwise : JSON.parse(s)
    } catch {
      return otherwise
    }
  }
  const s = signal<T>(read())
  let first = true
  effect(() => {
    const v = s.value
    if (first) {
      first = false
      return
    }
    try {
      localStorage.setItem(name, JSON.stringify(v))
    } catch {
      // A full or forbidden storage: it is remembered until the page closes.
    }
  })
  addEventListener('storage', (e) => {
    if (e.key === name) s.value = read()
  })
  return s
}

// Mark is how far a channel was read: the newest message's id, and how many it had.
export interface Mark { id: number; count: number }

export const marks = kept<{ bus: string; read: Record<string, Mark> }>('marks', { bus: '', read: {} })
export const watched = kept<string[]>('watched', [])
export const theme = kept<'auto' | 'light' | 'dark'>('theme', 'auto')
export const lastChannel = kept<string>('channel', 'general')
export const drafts = kept<Record<string, string>>('drafts', {})
export const details = kept<boolean>('details', true)

effect(() => {
  document.documentElement.dataset.theme = theme.value
})
