import { useEffect, useState } from 'preact/hooks'
import { retry } from '../hub'
import { line } from '../state'

// Banner says that the line is lost, and when it is tried again. Nothing is lost: the stream resumes where it was.
export function Banner() {
  const l = line.value
  const [left, setLeft] = useState(0)
  const until = l.state === 'lost' ? l.until : 0
  useEffect(() => {
    if (!until) return
    const count = () => setLeft(Math.max(0, Math.ceil((until - Date.now()) / 1000)))
    count()
    const timer = setInterval(count, 500)
    return () => clearInterval(timer)
  }, [until])
  if (l.state !== 'lost') return null
  return (
    <div class="banner" role="alert">
      <span class="pulse" aria-hidden="true" />
      <span>
        {l.why} {until ? <>Trying again {left > 0 ? `in ${left} s` : 'now'}. Nothing is lost: the messages in between will appear.</> : 'Reload the page to go on.'}
      </span>
      {until ? <button onClick={retry}>Try now</button> : <button onClick={() => location.reload()}>Reload</button>}
    </div>
  )
}
