package imports

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"crosstalk/models"
)

// mender makes valid what is not, and notes what it did.
type mender struct{ report *Report }

const (
	nobody   = "unknown"  // sends what names no sender
	nowhere  = "imported" // has what names no channel
	nothing  = "(empty)"
	notUTF8  = "\uFFFD" // stands for what was no character
	reserved = "imported-"
)

// name mends an instance's id. The same id is always mended to the same.
func (m *mender) name(what, id string) string {
	mended, err := models.ParseInstance("name", id)
	if err != nil {
		mended = m.printable(id, models.MaxName-2)
		if mended == "" || models.FoldInstance(mended) == "" {
			mended = nobody
		}
		if _, err := models.ParseInstance("name", mended); err != nil { // reserved
			mended += "-1"
		}
	}
	if mended != id {
		m.report.note("%s: name changed to one that is allowed", what, "%.40q to %.40q", id, mended)
	}
	return mended
}

// printable makes what is not printable a hyphen, and cuts.
func (m *mender) printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '-'
		}
		return r
	}, s)
	return strings.Trim(cutRunes(strings.Trim(s, " "), most), " ")
}

func (m *mender) channel(name string) string {
	mended, err := models.ParseChannel(name)
	if err != nil {
		if mended, err = models.ParseChannel(m.printable(name, models.MaxChannel)); err != nil {
			mended = nowhere
		}
	}
	if mended != name {
		m.report.note("channel: name changed to one that is allowed", "", "%.40q to %.40q", name, mended)
	}
	return mended
}

// text mends a free text: of where the first is found, which is told.
func (m *mender) text(what, where, s string) string {
	mended := s
	if !utf8.ValidString(mended) || strings.IndexByte(mended, 0) >= 0 {
		mended = strings.ReplaceAll(strings.ToValidUTF8(mended, notUTF8), "\x00", notUTF8)
		m.report.note("%s: bytes that are no text replaced by \uFFFD", what, "%s", where)
	}
	return mended
}

func (m *mender) description(what, where, s string) string {
	s = m.text(what, where, s)
	if utf8.RuneCountInString(s) > models.MaxDescription {
		m.report.note("%s: description cut to what is allowed", what, "%s", where)
		s = cutRunes(s, models.MaxDescription)
	}
	return s
}

// content mends a message's text. What is too long for one becomes shared data, which is returned, and the message
// begins with what fits and says so.
func (m *mender) content(id int64, s string) (content, rest string) {
	where := fmt.Sprintf("message %d", id)
	s = m.text("message", where, s)
	switch {
	case s == "":
		m.report.note("message: empty text now says "+nothing, "", "%s", where)
		return nothing, ""
	case len(s) > models.MaxContent:
		m.report.note("message: too long a text became shared data, of which the message has the beginning", "", "%s", where)
		tail := fmt.Sprintf("\n... the whole text is the shared data %q", wholeKey(id))
		return models.Cut(s, 0, models.MaxContent-len(tail)) + tail, m.data(where, s)
	}
	return s, ""
}

// wholeKey is where the whole of a message is that was too long.
func wholeKey(id int64) string { return fmt.Sprintf("imported-message-%d", id) }

// data bounds the content of shared data.
func (m *mender) data(where, s string) string {
	if len(s) > models.MaxData {
		m.report.note("shared data: CUT, of what is longer than 16 MiB the end is missing", "", "%s", where)
		s = models.Cut(s, 0, models.MaxData)
	}
	return s
}

// key mends the key of shared data.
func (m *mender) key(key string) string {
	mended := key
	if _, err := models.ParseDataKey(key); err != nil || strings.HasPrefix(key, "#") {
		mended = reserved + m.printable(key, models.MaxName-len(reserved))
	}
	if mended != key {
		m.report.note("shared data: key changed to one that is allowed", "", "%.40q to %.40q", key, mended)
	}
	return mended
}

func (m *mender) messageType(id int64, t string) models.MessageType {
	kind, err := models.ParseType(models.MessageType(t))
	if err != nil {
		m.report.note("message: type that is unknown here became message", "", "message %d, %.40q", id, t)
		return models.TypeMessage
	}
	return kind
}

func cutRunes(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			return s[:i]
		}
		n++
	}
	return s
}
