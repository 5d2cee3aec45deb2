import { hueOf, lettersOf } from '../names'
import { ago, exact, clock } from '../time'

// Avatar is round for people and square for agents.
export function Avatar({ name, kind, size = 32 }: { name: string; kind: 'agent' | 'human'; size?: number }) {
  return (
    <span class={`avatar ${kind}`} style={{ '--h': hueOf(name), width: `${size}px`, height: `${size}px` }} aria-hidden="true">
      {lettersOf(name)}
    </span>
  )
}

export function Name({ name, kind }: { name: string; kind?: 'agent' | 'human' }) {
  return (
    <>
      <bdi class="name" style={{ '--h': hueOf(name) }}>{name}</bdi>
      {kind === 'human' && <span class="badge person">person</span>}
    </>
  )
}

export function When({ at, long = false }: { at: string; long?: boolean }) {
  return <time dateTime={at} title={exact(at)}>{long ? clock(at) : ago(at)}</time>
}
