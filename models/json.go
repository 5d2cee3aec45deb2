package models

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Int is a whole number as clients send it: a JSON number, a numeric string, or nothing (null, "").
type Int struct {
	Value int64
	Set   bool
}

// ParseInt reads a number from a query parameter; field names it in the error.
func ParseInt(field, s string) (Int, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Int{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != float64(int64(f)) {
			return Int{}, Errorf(Invalid, "%s must be a whole number, not %.40q", field, s)
		}
		n = int64(f)
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
