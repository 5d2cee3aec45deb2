import { useEffect, useState } from 'preact/hooks'
import { named, words } from '../actions'
import { api, type DataItem, type DataPart } from '../api'
import { to } from '../route'
import { dialog, drawer, channels } from '../state'
import { shapeOf } from '../table'
import { codeBlock, markdown } from '../text'
import { bytes, count, exact } from '../time'
import { Icon } from './Icon'
import { Name, When } from './Who'

const firstLook = 200_000 // bytes of an item that are shown before all of it is asked for

export function Data({ selected }: { selected?: string }) {
  const [items, setItems] = useState<DataItem[] | null>(null)
  const [error, setError] = useState('')
  const [filter, setFilter] = useState('')
  const open = dialog.value
  useEffect(() => {
    if (open) return
    api.dataList().then((a) => { setItems(a.items); setError('') }, (e) => setError(words(e)))
  }, [open, selected])
  const wanted = filter.trim().toLowerCase()
  const list = items?.filter((i) => !wanted || `${i.key} ${i.description} ${i.created_by}`.toLowerCase().includes(wanted))
  return (
    <section class="stream" aria-label="Shared data">
      <header class="head">
        <button class="quiet narrow" aria-label="Channels" onClick={() => { drawer.value = 'left' }}><Icon name="menu" /></button>
        <div class="title"><h1>Shared data</h1>{items && <p>{count(items.length, 'item')}</p>}</div>
        <label class="searchbox"><Icon name="search" size={16} />
          <input type="search" placeholder="Find" aria-label="Find shared data" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /></label>
        <button onClick={() => named(() => { dialog.value = { is: 'share', ch: '' } })}><Icon name="plus" size={15} /> Share</button>
      </header>
      <div class="scroll"><div class="column wide">
        {selected && <Item key={`${selected} ${items?.find((i) => i.key === selected)?.version}`} name={selected} />}
        {error && <p class="error" role="alert">{error}</p>}
        {!items && !error && <p class="nothing" role="status">Reading the list …</p>}
        {items && list!.length === 0 && <p class="nothing">{wanted ? 'Nothing has this in its key, description or author.' : 'Nothing is shared yet. Agents share files and results with share_data.'}</p>}
        {list && list.length > 0 && (
          <div class="table"><table>
            <thead><tr><th>Key</th><th>What it is</th><th>By</th><th class="number">Size</th><th class="number">Version</th><th>Shared</th></tr></thead>
            <tbody>
              {list.map((i) => (
                <tr key={i.key} class={i.key === selected ? 'current' : ''}>
                  <td><a href={to.data(i.key)}>{i.key}</a></td>
                  <td>{i.description || <span class="faint">–</span>} {i.channel && channels.value.has(i.channel) && <a class="faint" href={to.channel(i.channel)}>#{i.channel}</a>}</td>
                  <td class="nowrap"><Name name={i.created_by} /></td>
                  <td class="number nowrap">{bytes(i.size_bytes)}</td>
                  <td class="number">{i.version}</td>
                  <td class="nowrap faint"><When at={i.created_at} /></td>
                </tr>
              ))}
            </tbody>
          </table></div>
        )}
      </div></div>
    </section>
  )
}

function Item({ name }: { name: string }) {
  const [item, setItem] = useState<DataPart | null>(null)
  const [error, setError] = useState('')
  const [raw, setRaw] = useState(false)
  const load = (length?: number) => api.data(name, length).then((d) => { setItem(d); setError('') }, (e) => setError(words(e)))
  useEffect(() => { void load(firstLook) }, [name])
  const download = async () => {
    try {
      const whole = item?.next_offset ? await api.data(name) : item!
      const url = URL.createObjectURL(new Blob([whole.content], { type: 'application/octet-stream' }))
      const a = document.createElement('a')
      a.href = url
      a.download = name.replace(/[^\p{L}\p{N}._-]+/gu, '_')
      a.click()
      setTimeout(() => URL.revokeObjectURL(url), 10_000)
    } catch (e) {
      setError(words(e))
    }
  }
  return (
    <article class="item" aria-label={name}>
      <header>
        <h2>{name}</h2>
        <button disabled={!item} onClick={() => void download()}><Icon name="download" size={15} /> Download</button>
        <button disabled={!item} aria-pressed={raw} onClick={() => setRaw(!raw)}>As text</button>
        <button disabled={!item} onClick={() => named(() => { dialog.value = { is: 'delete', key: name } })}><Icon name="trash" size={15} /> Delete</button>
        <a class="button quiet" href={to.data()} aria-label="Close"><Icon name="close" /></a>
      </header>
      {item && <p class="faint">{item.description && <>{item.description} · </>}<Name name={item.created_by} /> · {bytes(item.size_bytes)} · version {item.version} · {exact(item.created_at)}</p>}
      {error && <p class="error" role="alert">{error}</p>}
      {!item && !error && <p class="nothing" role="status">Reading …</p>}
      {item && <Content name={name} text={item.content} raw={raw} />}
      {item?.next_offset && <button class="fold" onClick={() => void load()}>Show all of it ({bytes(item.size_bytes)})</button>}
    </article>
  )
}

const endings: Record<string, string> = { js: 'javascript', ts: 'typescript', py: 'python', rs: 'rust', sh: 'bash', yml: 'yaml', html: 'xml', svg: 'xml', patch: 'diff' }

function Content({ name, text, raw }: { name: string; text: string; raw: boolean }) {
  const shape = raw ? ({ is: 'text' } as const) : shapeOf(name, text)
  switch (shape.is) {
    case 'table':
      return (
        <div class="table content"><table>
          <thead><tr>{shape.head.map((h, i) => <th key={i}>{h}</th>)}</tr></thead>
          <tbody>{shape.rows.map((row, i) => <tr key={i}>{row.map((cell, j) => <td key={j}>{cell}</td>)}</tr>)}</tbody>
        </table>
          {shape.more > 0 && <p class="nothing left">and {count(shape.more, 'more row')}: download it to see them</p>}
        </div>
      )
    case 'json':
      return <pre class="content" tabIndex={0}><code dangerouslySetInnerHTML={codeBlock(shape.text, 'json')} /></pre>
    case 'markdown':
      return <div class="text content" dangerouslySetInnerHTML={markdown(text)} />
  }
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  return <pre class="content" tabIndex={0}><code dangerouslySetInnerHTML={codeBlock(text, raw ? '' : endings[ending] ?? ending)} /></pre>
}
