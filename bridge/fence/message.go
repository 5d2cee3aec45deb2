package fence

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"crosstalk/models"
)

// Marks say what is to be told of a message besides itself.
type Marks struct {
	Channel     bool // in which channel it is
	ShownBefore bool
}

// Size is how many bytes Message takes for m, if it need not be cut.
func Size(m *models.Message, marks Marks) int {
	return len(head(m, marks)) + part{m.Content, block}.size() + len("\n")
}

// Message adds a message: what the bus knows of it, then its content, fenced. If there is no room for it
// beside what is to be kept free, it comes cut and says how to read the rest.
func (a *Answer) Message(m *models.Message, marks Marks, keep int) {
	a.Sayf("\n%s", head(m, marks))
	bare := part{"", block}.size()
	if room := a.Room() - keep - bare; len(m.Content) > room {
		a.cut(fmt.Sprintf("#%d", m.ID), m.Content, 0, len(m.Content), room)
		return
	}
	a.Block(m.Content)
}

// Piece adds the part of a text from a byte on, up to a length or to what there is room for, and says
// how to read on. key is what get_shared_data knows the text by.
func (a *Answer) Piece(key, text string, offset, length, keep int) {
	room := a.Room() - keep - part{"", block}.size()
	if offset <= 0 && len(text) <= min(length, room) {
		a.Block(text)
		return
	}
	a.cut(key, text, offset, length, room)
}

func (a *Answer) cut(key, text string, offset, length, room int) {
	begin := min(max(0, offset), len(text))
	for begin > 0 && begin < len(text) && !utf8.RuneStart(text[begin]) {
		begin--
	}
	room -= len(rest(key, len(text), len(text), len(text)))
	piece := models.Cut(text, begin, min(length, room))
	end := begin + len(piece)
	a.Block(piece)
	if end < len(text) {
		a.Sayf("%s", rest(key, begin, end, len(text)))
	} else {
		a.Sayf("(bytes %d to %d of %d: this is the end)\n", begin, end, len(text))
	}
}

func rest(key string, begin, end, size int) string {
	return fmt.Sprintf("(cut: bytes %d to %d of %d. For the rest: get_shared_data key=%s offset=%d)\n", begin, end, size, Quote(key), end)
}

// head is the line above a message. Names are quoted, so that none can pass for what follows it.
func head(m *models.Message, marks Marks) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d", m.ID)
	if marks.Channel {
		fmt.Fprintf(&b, " in #%s", Channel(m.Channel))
	}
	fmt.Fprintf(&b, " [%s] %s (%s) %s", Type(m.Type), Quote(m.Sender), Standing(m), m.CreatedAt)
	if m.InReplyTo != nil {
		fmt.Fprintf(&b, " (reply to #%d)", *m.InReplyTo)
	}
	if m.ReplyCount == 1 {
		b.WriteString(" (1 reply)")
	} else if m.ReplyCount > 1 {
		fmt.Fprintf(&b, " (%d replies)", m.ReplyCount)
	}
	if marks.ShownBefore {
		b.WriteString(" (shown before)")
	}
	return b.String() + "\n"
}

// Type is the type of a message. What the bus does not know is quoted.
func Type(t models.MessageType) string {
	if _, err := models.ParseType(t); err != nil || t == "" {
		return Name(string(t))
	}
	return string(t)
}

// Standing is what the bus knows of who wrote a message: agent or human, and whether that is verified.
func Standing(m *models.Message) string {
	kind, sure := models.KindAgent, "not verified"
	if m.Kind == models.KindHuman {
		kind = models.KindHuman
	}
	if m.Verified {
		sure = "verified"
	}
	return string(kind) + ", " + sure
}
