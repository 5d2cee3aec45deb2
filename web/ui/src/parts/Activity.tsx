import { useEffect, useState } from 'preact/hooks'
import { api, type Activity as A } from '../api'
import { hueOf } from '../names'
import { channels } from '../state'
import { count, now } from '../time'
import { Name } from './Who'

const most = 5

// Activity draws who said how much in each of the last 24 hours, one bar an hour, one colour a sender.
export function Activity({ ch }: { ch: string }) {
  const [activity, setActivity] = useState<A | null>(null)
  const [failed, setFailed] = useState(false)
  const said = channels.value.get(ch)?.message_count ?? 0
  // At most once in two seconds, however fast it goes on.
  useEffect(() => {
    let there = true
    const timer = setTimeout(() => {
      api.activity(ch).then((a) => there && setActivity(a), () => there && setFailed(true))
    }, activity ? 2000 : 0)
    return () => {
      there = false
      clearTimeout(timer)
    }
  }, [ch, said, Math.floor(now.value / 600_000)])

  if (failed && !activity) return <p class="nothing left">The plot cannot be drawn now.</p>
  if (!activity) return <div class="plot" />
  const sum = (counts: number[]) => counts.reduce((a, b) => a + b, 0)
  const list = activity.senders.map((s) => ({ ...s, sum: sum(s.counts) })).filter((s) => s.sum > 0).sort((a, b) => b.sum - a.sum)
  if (list.length === 0) return <p class="nothing left">No message in the last day.</p>
  const shown = list.slice(0, most)
  const others = list.slice(most)
  if (others.length > 0) {
    shown.push({ sender: '', counts: others[0]!.counts.map((_, h) => sum(others.map((o) => o.counts[h] ?? 0))), sum: sum(others.map((o) => o.sum)) })
  }
  const hours = shown[0]!.counts.length
  const top = Math.max(1, ...Array.from({ length: hours }, (_, h) => sum(shown.map((s) => s.counts[h] ?? 0))))
  const words = list.slice(0, most).map((s) => `${s.sender} ${s.sum}`).join(', ')
  return (
    <>
      <svg class="plot" viewBox={`0 0 ${hours * 10} 64`} preserveAspectRatio="none" role="img" aria-label={`Messages in the last ${hours} hours: ${words}`}>
        {Array.from({ length: hours }, (_, h) => {
          let y = 62
          const at = new Date(now.value - (hours - 1 - h) * 3_600_000)
          const label = `${at.getHours()}:00, ${count(sum(shown.map((s) => s.counts[h] ?? 0)), 'message')}`
          return (
            <g key={h}>
              <title>{label}</title>
              <rect class="slot" x={h * 10} y={0} width={10} height={64} />
              {shown.map((s) => {
                const n = s.counts[h] ?? 0
                if (n === 0) return null
                const height = Math.max(2, (n / top) * 60)
                y -= height
                return <rect key={s.sender} class={s.sender ? 'bar' : 'bar rest'} x={h * 10 + 1.5} y={y} width={7} height={height} style={{ '--h': hueOf(s.sender) }} />
              })}
            </g>
          )
        })}
      </svg>
      <p class="axis faint" aria-hidden="true"><span>24 h ago</span><span>now</span></p>
      <ul class="legend">
        {shown.map((s) => (
          <li key={s.sender}>
            <i class={s.sender ? 'dot' : 'dot rest'} style={{ '--h': hueOf(s.sender) }} />
            {s.sender ? <Name name={s.sender} /> : <span>{count(others.length, 'other')}</span>} <span class="faint">{s.sum.toLocaleString()}</span>
          </li>
        ))}
      </ul>
    </>
  )
}
