package models

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure an Error is. Each door maps codes to its own protocol, once.
type Code string

// The codes of the contract.
const (
	Invalid         Code = "invalid"
	Unauthenticated Code = "unauthenticated"
	Forbidden       Code = "forbidden"
	NotFound        Code = "not_found"
	Conflict        Code = "conflict"
	Paused          Code = "paused"
	TooLarge        Code = "too_large"
	RateLimited     Code = "rate_limited"
	Unavailable     Code = "unavailable"
	Internal        Code = "internal"
)

// Error is a failure that a caller may be told of: its text says what to do.
type Error struct {
	Code    Code
	Message string
	Wait    time.Duration // with RateLimited and Unavailable: when to come back; 0: soon
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error where the fact is known.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of err: empty for nil, Internal for what is no Error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Text returns what a client may read of err. An internal failure tells nothing of its cause.
func Text(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != Internal {
		return e.Message
	}
	return "Internal server error"
}

// After returns err, which Errorf made, with when to come back.
func After(err error, wait time.Duration) error {
	if e, ok := errors.AsType[*Error](err); ok {
		told := *e
		told.Wait = wait
		return &told
	}
	return err
}

// RetryAfter returns in how many whole seconds whoever got err may come back: 0 where coming back helps nothing.
func RetryAfter(err error) int64 {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != RateLimited && e.Code != Unavailable {
		return 0
	}
	return Seconds(e.Wait)
}

// Seconds rounds a wait up to whole seconds, at least one.
func Seconds(wait time.Duration) int64 {
	return max(1, int64((wait+time.Second-1)/time.Second))
}
