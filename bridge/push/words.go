package push

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"crosstalk/bridge/fence"
	"crosstalk/models"
)

// maxText bounds the text of one push, in bytes.
const maxText = 4000

// tag is what a client encloses a push in; a text must not end or open one.
var tag = regexp.MustCompile(`(?i)<(\s*/?\s*channel)`)

// whole is the notification of one message.
func whole(m *models.Message) map[string]any {
	text := m.Content
	if len(text) > maxText {
		text = models.Cut(text, 0, maxText)
		text += fmt.Sprintf("\n(cut: for the rest get_shared_data key=\"#%d\" offset=%d)", m.ID, len(text))
	}
	return params(fmt.Sprintf("[#%s] %s: %s", fence.Channel(m.Channel), fence.Line(m.Sender, models.MaxName), text), map[string]string{
		"channel": m.Channel, "sender": m.Sender, "id": strconv.FormatInt(m.ID, 10),
		"message_type": string(m.Type), "verified": strconv.FormatBool(m.Verified),
	})
}

// hint is the notification of many messages at once.
func hint(channel string, count int, last int64) map[string]any {
	return params(fmt.Sprintf("%d new messages in #%s: read them with check_messages", count, fence.Channel(channel)), map[string]string{
		"channel": channel, "id": strconv.FormatInt(last, 10), "messages": strconv.Itoa(count),
	})
}

func params(content string, meta map[string]string) map[string]any {
	for key, value := range meta {
		meta[key] = attribute(value)
	}
	return map[string]any{"content": tag.ReplaceAllString(content, "&lt;$1"), "meta": meta}
}

// attribute makes a value that cannot end the attribute it becomes.
func attribute(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("\"'`<>&", r):
			return '_'
		case unicode.IsSpace(r) || !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, s)
}
