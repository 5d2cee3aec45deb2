package models

// pageOverhead is what an encoded page costs besides its messages, and minBytes the least bound that
// leaves room for a message with names of a usual length.
const (
	pageOverhead = 200
	minBytes     = 1000
)

// Fit makes the page at most maxBytes long when encoded, but not below 1,000. Reading onwards it keeps
// the oldest, otherwise the newest. One message always stays: if it is larger than the whole page it
// comes cut, at worst to its first character, which with the longest of names takes 1,400 bytes.
func (p *Page) Fit(maxBytes int, onwards bool) {
	budget := max(maxBytes, minBytes) - pageOverhead
	keep := 0
	var buf []byte
	for keep < len(p.Messages) {
		i := keep
		if !onwards {
			i = len(p.Messages) - 1 - keep
		}
		m := &p.Messages[i]
		buf = m.AppendJSON(buf[:0])
		size := len(buf) + 1
		if size > budget {
			if keep == 0 {
				m.cut(budget-1, buf)
				keep = 1
			}
			break
		}
		budget -= size
		keep++
	}
	if keep == len(p.Messages) {
		return
	}
	p.More = true
	if onwards {
		p.Messages = p.Messages[:keep]
		p.NextAfterID = p.Messages[keep-1].ID
	} else {
		p.Messages = p.Messages[len(p.Messages)-keep:]
	}
}

// cut shortens the content until the encoded message fits, by halves where it is full of characters
// that need escapes, else by what is over. It works in buf.
func (m *Message) cut(budget int, buf []byte) {
	whole := m.Content
	m.Truncated, m.ContentBytes = true, len(whole)
	for length := min(budget, len(whole)); ; {
		m.Content = Cut(whole, 0, length)
		over := len(m.AppendJSON(buf[:0])) - budget
		if over <= 0 || length == 0 {
			break
		}
		length = max(length/2, length-over)
	}
	if m.Content == whole {
		m.Truncated, m.ContentBytes = false, 0
	}
}
