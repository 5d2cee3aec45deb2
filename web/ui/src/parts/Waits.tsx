import type { Wait } from '../api'
import { awaited, knotted } from '../reach'
import { to } from '../route'
import { waits } from '../state'
import { Name, When } from './Who'

export function Waits({ ch }: { ch?: string }) {
  const open = waits.value.filter((w) => !ch || w.channel === ch || w.channel === '*')
  if (open.length === 0) return <p class="nothing left">Nobody waits{ch ? ' here' : ''}.</p>
  return <ul class="waits">{open.map((w) => <OneWait key={`${w.channel} ${w.instance_id}`} wait={w} where={!ch} />)}</ul>
}

function OneWait({ wait: w, where }: { wait: Wait; where: boolean }) {
  const others = awaited(w)
  return (
    <li>
      <Name name={w.instance_id} /> {w.role === 'parked' ? 'stands by' : 'waits'}
      {where && <> on {w.channel === '*' ? 'all its channels' : <a href={to.channel(w.channel)}>#{w.channel}</a>}</>}
      {others.length > 0 && <> for {others.slice(0, 3).map((s, i) => <span key={s}>{i > 0 && ', '}<Name name={s} /></span>)}{others.length > 3 && ` and ${others.length - 3} more`}</>}
      <span class="faint"> since <When at={w.since} long /></span>
      {knotted(w) && <span class="badge warn" title="All of them wait: nobody speaks first. A message from you helps.">each for the other</span>}
    </li>
  )
}
