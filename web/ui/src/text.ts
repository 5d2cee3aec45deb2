// Markdown of strangers, made safe twice: marked is told to leave HTML as text and pictures as links, and DOMPurify lets
// through only the elements that are listed here.
import { signal } from '@preact/signals'
import DOMPurify from 'dompurify'
import { Marked, type Tokens } from 'marked'

type Highlight = (code: string, lang: string) => string | undefined

// highlight is there once somebody has shown code.
const highlight = signal<Highlight | undefined>(undefined)
let asked = false

function askForHighlight() {
  if (asked) return
  asked = true
  import('./highlight').then((m) => { highlight.value = m.highlight }, () => { asked = false })
}

export function escape(s: string): string {
  return s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}

const maxHighlighted = 20_000
// Markdown made to be slow takes a time that grows with its square: 0.6 s at this length, 10 s at four times as much.
const maxMarkdown = 30_000

// code returns a block's inner HTML.
export function code(text: string, lang: string): string {
  const h = highlight.value
  if (!h) askForHighlight()
  return (text.length <= maxHighlighted && h?.(text, lang)) || escape(text)
}

const marked = new Marked({ gfm: true, breaks: true, async: false })
marked.use({
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escape(text),
    image: ({ href, text }: Tokens.Image) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    code: ({ text, lang }: Tokens.Code) => `<pre tabindex="0"><code>${code(text, (lang ?? '').split(/\s/)[0]!)}</code></pre>`,
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? '☑ ' : '☐ '),
  },
})

const purifier = DOMPurify(window)
purifier.addHook('uponSanitizeAttribute', (_, data) => {
  if (data.attrName === 'class' && !/^(hljs-[\w-]+\s*_*\s*)+$/.test(data.attrValue)) data.keepAttr = false
})
purifier.addHook('afterSanitizeAttributes', (node) => {
  if (node.nodeName !== 'A' || !node.hasAttribute('href')) return
  if (node.getAttribute('href')?.startsWith('#/')) return
  node.setAttribute('target', '_blank')
  node.setAttribute('rel', 'noopener noreferrer')
})

const allowed = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'code', 'em',
    'strong', 'del', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'span'],
  ALLOWED_ATTR: ['href', 'title', 'class', 'align', 'start', 'tabindex'],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#\/)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_TRUSTED_TYPE: true,
} as const

// Html is what may stand in dangerouslySetInnerHTML: a TrustedHTML where the browser knows that.
export type Html = { __html: string }

function purify(html: string): Html {
  return { __html: purifier.sanitize(html, { ...allowed, ALLOWED_TAGS: [...allowed.ALLOWED_TAGS], ALLOWED_ATTR: [...allowed.ALLOWED_ATTR] }) as unknown as string }
}

export function markdown(text: string): Html {
  if (text.length > maxMarkdown) return plain(text)
  try {
    return purify(marked.parse(text) as string)
  } catch {
    return plain(text)
  }
}

const plain = (text: string) => purify(`<pre tabindex="0">${escape(text)}</pre>`)

export const codeBlock = (text: string, lang: string) => purify(code(text, lang))

// plainly is a text on one line, without the marks of Markdown.
export function plainly(text: string): string {
  return text.replace(/```\w*/g, ' ').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/\|[-:| ]{3,}\|/g, ' ').replace(/^\s*(#+|>+)\s/gm, '')
    .replace(/[*`~]+/g, '').replace(/[\s|]+/g, ' ').trim()
}

// glance is the first words of a text.
export function glance(text: string, length = 140): string {
  const s = plainly(text.slice(0, length * 4))
  return s.length > length ? s.slice(0, length - 1) + '…' : s
}
