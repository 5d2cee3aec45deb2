package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"crosstalk/models"
)

// printer writes what people or scripts read. What others wrote reaches a terminal as text only: nothing of it moves
// the cursor, changes colours, or reverses the order of letters.
type printer struct {
	w      io.Writer
	json   bool
	colour bool
	screen bool // w is a terminal
}

func newPrinter(p *process, asJSON bool) *printer {
	screen := isTerminal(p.stdout)
	plain := p.getenv("NO_COLOR") != "" || p.getenv("TERM") == "dumb" ||
		runtime.GOOS == "windows" && p.getenv("TERM") == "" && p.getenv("WT_SESSION") == ""
	return &printer{w: p.stdout, json: asJSON, colour: screen && !plain && !asJSON, screen: screen}
}

// drives says whether a terminal, or the eye, may be misled by r.
func drives(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// line is s on one line, with what could drive a terminal made visible.
func line(s string) string {
	if strings.IndexFunc(s, drives) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case r == '\u200d' || r == '\ufe0f': // part of many emoji
			b.WriteRune(r)
		case drives(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// paragraph is s with its lines, each after the first behind an indent, so that none passes for the beginning of
// another message.
func paragraph(s, indent string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		parts := strings.Split(lines[i], "\t")
		for j := range parts {
			parts[j] = line(parts[j])
		}
		lines[i] = strings.Join(parts, "\t")
	}
	return strings.Join(lines, "\n"+indent)
}

// name is an instance's id, in quotes where it has more in it than a name needs.
func name(id string) string {
	for _, r := range id {
		if r != '-' && r != '_' && r != '.' && r != '@' && r != '/' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return fmt.Sprintf("%q", id)
		}
	}
	return id
}

// object writes v as one line of JSON.
func (o *printer) object(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err := o.w.Write(asciiControls(b.Bytes()))
	return err
}

// asciiControls escapes, in JSON, the characters that drive a terminal and that JSON leaves as they are.
func asciiControls(doc []byte) []byte {
	if bytes.IndexFunc(doc, func(r rune) bool { return r != '\n' && drives(r) }) < 0 {
		return doc
	}
	var b bytes.Buffer
	for _, r := range string(doc) {
		switch {
		case r == '\n' || !drives(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// paint colours s where there are colours. code is that of an SGR sequence.
func (o *printer) paint(code, s string) string {
	if !o.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// hue is a colour that stays the same for the same name.
func hue(s string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return []string{"31", "32", "33", "34", "35", "36"}[h.Sum32()%6]
}

// message writes one message: 12 10:03:11 #auth alice [request]: text.
func (o *printer) message(m *models.Message) error {
	if o.json {
		return o.object(m)
	}
	head := o.paint("2", fmt.Sprintf("%d %s", m.ID, moment(m.CreatedAt.Time(), time.Now()))) +
		" " + o.paint(hue(m.Channel), "#"+m.Channel) + " " + o.paint("1;"+hue(m.Sender), name(m.Sender))
	var marks []string
	if m.Kind == models.KindHuman {
		marks = append(marks, "person")
	}
	if m.Verified {
		marks = append(marks, "verified")
	}
	if m.Type != models.TypeMessage {
		marks = append(marks, line(string(m.Type)))
	}
	if m.InReplyTo != nil {
		marks = append(marks, fmt.Sprintf("to %d", *m.InReplyTo))
	}
	if len(marks) > 0 {
		head += " " + o.paint("2", "["+strings.Join(marks, ", ")+"]")
	}
	_, err := fmt.Fprintf(o.w, "%s: %s\n", head, paragraph(m.Content, "    "))
	return err
}

// moment is the time of day, with the date before it when that is not today's.
func moment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// table writes rows under a head, in columns. Its cells may be anybody's.
func (o *printer) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	for i, row := range append([][]string{head}, rows...) {
		for j, cell := range row {
			if i > 0 {
				row[j] = line(cell)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// text writes s as it is, but to a terminal only what is text.
func (o *printer) text(s string) error {
	if o.screen {
		s = paragraph(s, "") + "\n"
	}
	_, err := io.WriteString(o.w, s)
	return err
}

// outlet is standard output. The errors of writing there tell when nobody reads it any more.
type outlet struct{ io.Writer }

func (o outlet) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		err = unreadError{err}
	}
	return n, err
}

// unreadError says that nobody reads our output any more, which is no fault of the command.
type unreadError struct{ error }

func (e unreadError) Unwrap() error { return e.error }

// faultsOf is what err says beside that nobody reads our output any more.
func faultsOf(err error) error {
	if _, unread := errors.AsType[unreadError](err); !unread {
		return err
	}
	several, is := err.(interface{ Unwrap() []error })
	if !is {
		return nil
	}
	var faults error
	for _, one := range several.Unwrap() {
		faults = errors.Join(faults, faultsOf(one))
	}
	return faults
}

// showOnce prints a secret that nobody can see again, so that it is a fault if nobody reads it.
func showOnce(p *process, what, secret string) error {
	_, _ = fmt.Fprintf(p.stderr, "%s%s, which is shown this once:\n", strings.ToUpper(what[:1]), what[1:])
	if _, err := fmt.Fprintln(p.stdout, secret); err != nil {
		return fmt.Errorf("%s could not be shown, and is lost: %s", what, err.Error())
	}
	return nil
}
