// Shared data as what it is: JSON, a table, Markdown, or text.

export type Shape =
  | { is: 'json'; text: string }
  | { is: 'table'; head: string[]; rows: string[][]; more: number }
  | { is: 'markdown' }
  | { is: 'text' }

const mostRows = 500

// shapeOf guesses from the key's ending and from the content itself.
export function shapeOf(key: string, content: string): Shape {
  const ending = /\.([a-z0-9]+)$/i.exec(key)?.[1]?.toLowerCase() ?? ''
  const start = content.trimStart()[0]
  if (ending === 'json' || ((start === '{' || start === '[') && ending !== 'md')) {
    try {
      const value: unknown = JSON.parse(content)
      return records(value) ?? { is: 'json', text: JSON.stringify(value, null, 2) }
    } catch {
      // Not JSON after all, or not all of it.
    }
  }
  if (ending === 'csv' || ending === 'tsv') {
    const all = parse(content, ending === 'csv' ? ',' : '\t', mostRows + 2)
    const [head, ...rest] = all.rows
    if (head) return { is: 'table', head, rows: rest.slice(0, mostRows), more: Math.max(0, all.total - 1 - mostRows) }
  }
  if (ending === 'md' || ending === 'markdown') return { is: 'markdown' }
  return { is: 'text' }
}

// records shows a list of flat objects as the table that it is.
function records(value: unknown): Shape | undefined {
  if (!Array.isArray(value) || value.length < 2) return undefined
  const head = new Set<string>()
  for (const v of value) {
    if (v === null || typeof v !== 'object' || Array.isArray(v)) return undefined
    for (const [name, field] of Object.entries(v)) {
      if (field !== null && typeof field === 'object') return undefined
      head.add(name)
    }
    if (head.size > 30) return undefined
  }
  const names = [...head]
  const text = (v: unknown) => (v === undefined || v === null ? '' : String(v))
  return { is: 'table', head: names, rows: value.slice(0, mostRows).map((v) => names.map((n) => text(v[n]))), more: Math.max(0, value.length - mostRows) }
}

// parse reads separated values; quoted ones may hold separators, line breaks and doubled quotes.
export function parse(s: string, separator: string, most: number): { rows: string[][]; total: number } {
  const rows: string[][] = []
  let row: string[] = []
  let total = 0
  let i = 0
  const end = () => {
    total++
    if (rows.length < most) rows.push(row)
    row = []
  }
  while (i < s.length) {
    let field = ''
    if (s[i] === '"') {
      let close = i + 1
      for (;;) {
        close = s.indexOf('"', close)
        if (close < 0) close = s.length
        if (s[close + 1] !== '"') break
        close += 2
      }
      field = s.slice(i + 1, close).replaceAll('""', '"')
      i = close + 1
    }
    const from = i
    while (i < s.length && s[i] !== separator && s[i] !== '\n') i++
    row.push(field + s.slice(from, i).replace(/\r$/, ''))
    if (s[i] === separator && i + 1 < s.length) {
      i++
      continue
    }
    i++
    end()
  }
  if (row.length > 0) end()
  return { rows, total }
}
