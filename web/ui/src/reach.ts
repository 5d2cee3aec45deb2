// How somebody is reached, and who waits for whom: said from what the hub tells of waits and presence.
import type { Channel, Instance, Wait } from './api'
import { channels, instances, waits } from './state'

export function reach(i: Instance, open: Wait[] = waits.value): { text: string; how: 'now' | 'soon' | 'later' } {
  const own = open.filter((w) => w.instance_id === i.instance_id)
  if (own.length > 0) {
    const where = own.map((w) => (w.channel === '*' ? 'all its channels' : `#${w.channel}`)).join(', ')
    return { text: own.some((w) => w.role === 'active') ? `waits on ${where}: hears at once` : `stands by on ${where}: hears at once`, how: 'now' }
  }
  if (i.status === 'online' && i.held_since && i.kind !== 'human') {
    return { text: 'connected: hears at once if it listens', how: 'soon' }
  }
  if (i.status === 'online') {
    return i.kind === 'human' ? { text: 'here, reads when looking', how: 'soon' } : { text: 'online: reads when it next checks', how: 'soon' }
  }
  return { text: 'away: reads when it comes back', how: 'later' }
}

// awaited names those whose word a wait needs: who else speaks on the channel, those online first.
export function awaited(w: Wait, all: ReadonlyMap<string, Channel> = channels.value): string[] {
  const senders = (all.get(w.channel)?.active_senders ?? '').split(', ').filter((s) => s && s !== w.instance_id)
  const here = senders.filter((s) => instances.value.get(s)?.status === 'online')
  return here.length > 0 ? here : senders
}

// knots are channels on which all who are awaited wait themselves: nobody will speak first.
export function knotted(w: Wait, open: Wait[] = waits.value): boolean {
  const active = new Set(open.filter((o) => o.channel === w.channel && o.role === 'active').map((o) => o.instance_id))
  const others = awaited(w)
  return w.role === 'active' && others.length > 0 && others.every((s) => active.has(s))
}
