package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Time is a moment in Unix milliseconds; in JSON RFC 3339 UTC with milliseconds.
type Time int64

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// TimeOf cuts t to milliseconds.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Time returns t as a time.Time in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

func (t Time) String() string { return t.Time().Format(timeLayout) }

// MarshalJSON writes the contract's form.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.Time().AppendFormat(make([]byte, 0, 32), `"`+timeLayout+`"`), nil
}

// UnmarshalJSON reads any RFC 3339 time; null changes nothing.
func (t *Time) UnmarshalJSON(b []byte) error {
	var at *time.Time
	if err := json.Unmarshal(b, &at); err != nil {
		return fmt.Errorf("time %s: %w", b, err)
	}
	if at != nil {
		*t = TimeOf(*at)
	}
	return nil
}

// Int is a whole number as clients send it: a JSON number, a numeric string, or nothing (null, "").
type Int struct {
	Value int64
	Set   bool
}

// ParseInt reads a number from a query parameter; field names it in the error. What is beyond 64 bits
// becomes the greatest or least number there is: as an id it is past the head, as a limit it is clamped.
func ParseInt(field, s string) (Int, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Int{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		f, ferr := strconv.ParseFloat(s, 64)
		switch {
		case ferr != nil && !errors.Is(ferr, strconv.ErrRange), f != math.Trunc(f), strings.ContainsAny(s, "xXnN_"):
			return Int{}, Errorf(Invalid, "%s must be a whole number, not %.40q", field, s)
		case f >= math.MaxInt64:
			n = math.MaxInt64
		case f <= math.MinInt64:
			n = math.MinInt64
		default:
			n = int64(f)
		}
	}
	return Int{Value: n, Set: true}, nil
}

// UnmarshalJSON takes 12, "12", null and "".
func (i *Int) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		s = ""
	} else if bytes.HasPrefix(b, []byte{'"'}) {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	n, err := ParseInt("value", s)
	if err != nil {
		return err
	}
	*i = n
	return nil
}

// Ptr returns nil for nothing.
func (i Int) Ptr() *int64 {
	if !i.Set {
		return nil
	}
	n := i.Value
	return &n
}

// AppendJSON appends m as JSON to dst. It is the one encoding of a message: every door sends it.
// Against encoding/json it takes a third of the time, 0.35 us to 1.03 with a text of 200 bytes, and
// allocates nothing (BenchmarkAppendJSON).
func (m *Message) AppendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"id":`...), m.ID, 10)
	dst = strconv.AppendInt(append(dst, `,"seq":`...), m.Seq, 10)
	dst = appendString(append(dst, `,"channel":`...), m.Channel)
	dst = appendString(append(dst, `,"sender":`...), m.Sender)
	dst = appendString(append(dst, `,"kind":`...), string(m.Kind))
	dst = strconv.AppendBool(append(dst, `,"verified":`...), m.Verified)
	dst = appendString(append(dst, `,"content":`...), m.Content)
	dst = appendString(append(dst, `,"message_type":`...), string(m.Type))
	dst = append(dst, `,"in_reply_to":`...)
	if m.InReplyTo == nil {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, *m.InReplyTo, 10)
	}
	dst = strconv.AppendInt(append(dst, `,"reply_count":`...), m.ReplyCount, 10)
	dst = m.CreatedAt.Time().AppendFormat(append(dst, `,"created_at":"`...), timeLayout)
	dst = append(dst, '"')
	if m.Truncated {
		dst = strconv.AppendInt(append(dst, `,"truncated":true,"content_bytes":`...), int64(m.ContentBytes), 10)
	}
	return append(dst, '}')
}

// MarshalJSON is AppendJSON for encoding/json.
func (m Message) MarshalJSON() ([]byte, error) {
	return m.AppendJSON(make([]byte, 0, 256+len(m.Content)+len(m.Content)/8)), nil
}

// appendString quotes s, which is valid UTF-8 since a Parse function saw it.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(append(dst, s[from:i]...), '\\')
		from = i + 1
		switch c {
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		case '"', '\\':
			dst = append(dst, c)
		default:
			dst = append(dst, 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
