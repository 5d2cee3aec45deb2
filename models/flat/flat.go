package flat

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Object is an object that is being read. Whoever reads goes to Next, and asks what goes by its Name for its Text or its
// Whole number. An object with a member that nobody asks for is not taken.
type Object struct {
	Name []byte // of the member that Next went to; a piece of what is read

	rest  []byte // what is not read yet
	begun bool
	due   bool // nobody has asked for the member that Next went to
	taken bool // it is read to its end
	odd   bool // it is nothing for this package
}

// Read begins to read b, which must be valid UTF-8 and stay as it is until all is read.
func Read(b []byte) Object { return Object{rest: b} }

// Taken tells, once Next has returned false, whether what was read counts.
func (o *Object) Taken() bool { return o.taken }

// Next goes to the next member. It returns false where there is none, or nothing that is taken.
func (o *Object) Next() bool {
	if o.odd || o.taken || o.due {
		return o.end()
	}
	first := !o.begun
	o.begun = true
	if first && !o.token('{') {
		return o.end()
	}
	if o.token('}') {
		o.blanks()
		o.taken = len(o.rest) == 0
		return o.end()
	}
	if !first && !o.token(',') || !o.token('"') {
		return o.end()
	}
	n := plain(o.rest)
	if n < 0 || o.rest[n] != '"' {
		return o.end()
	}
	o.Name, o.rest = o.rest[:n], o.rest[n+1:]
	o.due = o.token(':')
	return o.due || o.end()
}

// end has nothing more be read. It returns false.
func (o *Object) end() bool {
	o.odd = !o.taken
	return false
}

func (o *Object) blanks() {
	for len(o.rest) > 0 && (o.rest[0] == ' ' || o.rest[0] == '\n' || o.rest[0] == '\r' || o.rest[0] == '\t') {
		o.rest = o.rest[1:]
	}
}

// token goes past white space, and past c if that comes next. It tells whether it did.
func (o *Object) token(c byte) bool {
	o.blanks()
	if len(o.rest) == 0 || o.rest[0] != c {
		return false
	}
	o.rest = o.rest[1:]
	return true
}

// plain returns where the first quote, backslash or control character is; -1: there is none.
func plain(b []byte) int {
	for i, c := range b {
		if c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return -1
}

// asked notes that the member was asked for. It tells whether it was there to be.
func (o *Object) asked() bool {
	due := o.due
	o.due = false
	return due
}

// Text returns a copy of the member's text.
func (o *Object) Text() string {
	if !o.asked() || !o.token('"') {
		o.odd = true
		return ""
	}
	if n := plain(o.rest); n >= 0 && o.rest[n] == '"' {
		text := string(o.rest[:n])
		o.rest = o.rest[n+1:]
		return text
	}
	return o.unescape()
}

// unescape is the rest of a text in which something is escaped.
func (o *Object) unescape() string {
	text := make([]byte, 0, 512) // few are longer, and this one is no garbage
	for {
		n := plain(o.rest)
		if n < 0 || o.rest[n] < ' ' {
			break
		}
		text = append(text, o.rest[:n]...)
		if o.rest[n] == '"' {
			o.rest = o.rest[n+1:]
			return string(text)
		}
		c, length := escape(o.rest[n:])
		if length == 0 {
			break
		}
		text = utf8.AppendRune(text, c)
		o.rest = o.rest[n+length:]
	}
	o.odd = true
	return ""
}

// escape reads the escape that b begins with. The length is 0 where that is none, or half of a surrogate pair.
func escape(b []byte) (c rune, length int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	first, ok := unit(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	second, _ := unit(b[6:])
	if c = utf16.DecodeRune(first, second); c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// unit reads a \u with its four digits.
func unit(b []byte) (c rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// mostDigits is how many digits fit into 64 bits, whatever they are.
const mostDigits = 18

// Whole returns the member's whole number.
func (o *Object) Whole() (n int64) {
	o.odd = o.odd || !o.asked()
	sign := int64(1)
	if o.token('-') {
		sign = -1
	}
	i := 0
	for ; i < len(o.rest) && '0' <= o.rest[i] && o.rest[i] <= '9'; i++ {
		if i < mostDigits {
			n = 10*n + int64(o.rest[i]-'0')
		}
	}
	if i == 0 || i > mostDigits || i > 1 && o.rest[0] == '0' {
		o.odd = true
		return 0
	}
	o.rest = o.rest[i:]
	return sign * n
}
