// Where the page is: the part of the address after #.
import { signal } from '@preact/signals'

export type Route =
  | { view: 'channel'; ch: string; id?: number }
  | { view: 'search'; q: string; ch: string }
  | { view: 'data'; key?: string }
  | { view: 'people' }
  | { view: 'home' }

function decode(s: string): string {
  try {
    return decodeURIComponent(s)
  } catch {
    return s
  }
}

export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
  const [view, first, mark, id] = path.split('/').map(decode)
  switch (view) {
    case 'c':
      if (!first) break
      return { view: 'channel', ch: first, id: mark === 'm' && Number(id) > 0 ? Number(id) : undefined }
    case 'search': {
      const q = new URLSearchParams(query)
      return { view: 'search', q: q.get('q') ?? '', ch: q.get('in') ?? '' }
    }
    case 'data':
      return { view: 'data', key: first || undefined }
    case 'people':
      return { view: 'people' }
  }
  return { view: 'home' }
}

export const route = signal<Route>(parse(location.hash))
addEventListener('hashchange', () => { route.value = parse(location.hash) })

const at = encodeURIComponent
export const to = {
  channel: (ch: string) => `#/c/${at(ch)}`,
  message: (ch: string, id: number) => `#/c/${at(ch)}/m/${id}`,
  data: (key = '') => (key ? `#/data/${at(key)}` : '#/data'),
  people: () => '#/people',
  search: (q: string, ch: string) => `#/search?q=${at(q)}${ch ? `&in=${at(ch)}` : ''}`,
}

// go changes the address; in place it leaves no step to come back to.
export function go(hash: string, inPlace = false) {
  if (location.hash === hash) return
  if (inPlace) {
    history.replaceState(null, '', hash)
    route.value = parse(hash)
  } else {
    location.hash = hash
  }
}
