// Times as people say them.
import { signal } from '@preact/signals'

// now moves on its own, so that "2 min ago" does not stay that.
export const now = signal(Date.now())
setInterval(() => { now.value = Date.now() }, 15_000)

const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const clockFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const dateFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })

export const exact = (t: string) => exactFormat.format(new Date(t))

// ago is short: it stands in lists.
export function ago(t: string, at = now.value): string {
  const s = Math.max(0, (at - Date.parse(t)) / 1000)
  if (s < 45) return 'now'
  if (s < 3600) return `${Math.max(1, Math.round(s / 60))} min`
  if (s < 86_400) return `${Math.round(s / 3600)} h`
  if (s < 7 * 86_400) return `${Math.round(s / 86_400)} d`
  return dateFormat.format(new Date(t))
}

// clock is for messages: the time of day, or how long ago while that says more.
export function clock(t: string): string {
  const s = (now.value - Date.parse(t)) / 1000
  if (s < 45) return 'just now'
  if (s < 3600) return `${Math.max(1, Math.round(s / 60))} min ago`
  if (s < 12 * 3600) return `${Math.round(s / 3600)} h ago`
  return clockFormat.format(new Date(t))
}

export const dayOf = (t: string) => new Date(t).toDateString()

export function dayName(t: string): string {
  const day = dayOf(t)
  if (day === new Date(now.value).toDateString()) return 'Today'
  if (day === new Date(now.value - 86_400_000).toDateString()) return 'Yesterday'
  return dayFormat.format(new Date(t))
}

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`
  if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e4 ? 1 : 0)} KB`
  return `${(n / 1e6).toFixed(1)} MB`
}

export const count = (n: number, one: string, many = one + 's') => `${n.toLocaleString()} ${n === 1 ? one : many}`
