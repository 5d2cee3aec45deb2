package models

// pageOverhead is what an encoded page costs besides its messages, and minBytes the least bound that
// leaves room for a message.
const (
	pageOverhead = 200
	minBytes     = 1000
)

// Fit makes the page at most maxBytes long when encoded. Reading onwards it keeps the oldest,
// otherwise the newest. The one message that is larger than the whole page comes cut.
func (p *Page) Fit(maxBytes int, onwards bool) {
	budget := max(maxBytes, minBytes) - pageOverhead
	keep := 0
	for keep < len(p.Messages) {
		i := keep
		if !onwards {
			i = len(p.Messages) - 1 - keep
		}
		m := &p.Messages[i]
		size := len(m.AppendJSON(nil)) + 1
		if size > budget {
			if keep == 0 {
				m.cut(budget)
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

// cut shortens the content until the encoded message fits.
func (m *Message) cut(budget int) {
	whole := m.Content
	m.Truncated, m.ContentBytes = true, len(whole)
	for length := min(budget, len(whole)); ; length /= 2 {
		m.Content = Cut(whole, 0, length)
		if over := len(m.AppendJSON(nil)) - budget; over <= 0 || length == 0 {
			return
		} else if over < length {
			// Most texts need no escapes: take off what is over before halving.
			m.Content = Cut(whole, 0, length-over)
			if len(m.AppendJSON(nil)) <= budget {
				return
			}
		}
	}
}
