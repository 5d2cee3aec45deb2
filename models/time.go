package models

import (
	"fmt"
	"strconv"
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

// UnmarshalJSON reads any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	s, err := strconv.Unquote(string(b))
	if err != nil {
		return fmt.Errorf("time %s: %w", b, err)
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("time %s: %w", b, err)
	}
	*t = TimeOf(at)
	return nil
}
