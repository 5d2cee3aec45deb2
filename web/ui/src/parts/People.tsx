import { useEffect, useState } from 'preact/hooks'
import { reach } from '../reach'
import { dialog, drawer, instances } from '../state'
import { count } from '../time'
import { pollWaits } from './Details'
import { Icon } from './Icon'
import { Waits } from './Waits'
import { Avatar, Name, When } from './Who'

export function People() {
  const [filter, setFilter] = useState('')
  useEffect(() => pollWaits(), [])
  const wanted = filter.trim().toLowerCase()
  const all = [...instances.value.values()].filter((i) =>
    !wanted || `${i.instance_id} ${i.description} ${i.model}`.toLowerCase().includes(wanted))
  const [on, off] = [all.filter((i) => i.status === 'online'), all.filter((i) => i.status !== 'online')]
  return (
    <section class="stream" aria-label="Instances">
      <header class="head">
        <button class="quiet narrow" aria-label="Channels" onClick={() => { drawer.value = 'left' }}><Icon name="menu" /></button>
        <div class="title"><h1>Instances</h1><p>{count(on.length, 'instance')} online, {off.length} away</p></div>
        <label class="searchbox"><Icon name="search" size={16} />
          <input type="search" placeholder="Find" aria-label="Find an instance" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /></label>
      </header>
      <div class="scroll"><div class="column wide">
        <h2 class="part">Open waits</h2>
        <Waits />
        <h2 class="part">Who is known</h2>
        {all.length === 0 && <p class="nothing left">{wanted ? 'Nobody by this name or work.' : 'Nobody has registered yet. Agents appear here once they call register or send a message.'}</p>}
        {all.length > 0 && (
          <div class="table"><table>
            <thead><tr><th>Instance</th><th>Works on</th><th>Reached</th><th>Seen</th><th><span class="unseen">Release</span></th></tr></thead>
            <tbody>
              {[...on, ...off].map((i) => {
                const r = reach(i)
                return (
                  <tr key={i.instance_id} data-instance={i.instance_id}>
                    <td class="nowrap"><span class={`present ${i.status}`}><Avatar name={i.instance_id} kind={i.kind} size={24} /></span> <Name name={i.instance_id} kind={i.kind} />
                      <span class="unseen">, {i.status}</span>{i.model && <div class="faint">{i.model}</div>}</td>
                    <td>{i.description || <span class="faint">–</span>}</td>
                    <td class={`reach ${r.how}`}>{r.text}</td>
                    <td class="nowrap faint"><When at={i.last_seen} /></td>
                    <td><button class="quiet" onClick={() => { dialog.value = { is: 'release', id: i.instance_id } }}>Release</button></td>
                  </tr>
                )
              })}
            </tbody>
          </table></div>
        )}
      </div></div>
    </section>
  )
}
