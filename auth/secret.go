package auth

import "log/slog"

// Secret is a text that opens something: a header, a cookie, a code, a token. However it is printed, logged or
// encoded, only that there is one can be seen.
type Secret string

const redacted = "(secret)"

// String is for fmt.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is for %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue is for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is for encoding/json and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
