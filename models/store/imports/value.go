package imports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"crosstalk/models"
)

// A column of SQLite may hold anything, whatever it was made for.

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

// number reads a whole number; ok is false for what is none.
func number(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case nil:
		return 0, false
	case int64:
		return v, true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= 1<<53
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text(v)), 10, 64)
	return n, err == nil
}

// moment reads a time, which is UTC where it does not say; ok is false for what is none.
func moment(v any) (at models.Time, ok bool) {
	if t, is := v.(time.Time); is {
		return sane(t)
	}
	if n, is := number(v); is { // seconds, or milliseconds
		if n < 1e11 {
			n *= 1000
		}
		return sane(time.UnixMilli(n))
	}
	for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text(v))); err == nil {
			return sane(t)
		}
	}
	return 0, false
}

// sane refuses times that no hub of this kind has seen.
func sane(t time.Time) (models.Time, bool) {
	return models.TimeOf(t), t.Year() >= 2000 && t.Year() < 3000
}
