package models

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestTheCodeOutlivesWrapping(t *testing.T) {
	inner := Errorf(Conflict, "key %q is taken", "a")
	for _, c := range []struct {
		err  error
		code Code
		text string
	}{
		{nil, "", "Internal server error"},
		{inner, Conflict, `key "a" is taken`},
		{fmt.Errorf("share: %w", inner), Conflict, `key "a" is taken`},
		{errors.Join(errors.New("x"), inner), Conflict, `key "a" is taken`},
		{errors.New("password=hunter2"), Internal, "Internal server error"},
		{Errorf(Internal, "password=hunter2"), Internal, "Internal server error"},
		{context.Canceled, Internal, "Internal server error"},
	} {
		if got := CodeOf(c.err); got != c.code {
			t.Errorf("%v: code %q, want %q", c.err, got, c.code)
		}
		if got := Text(c.err); got != c.text {
			t.Errorf("%v: text %q, want %q", c.err, got, c.text)
		}
	}
}
