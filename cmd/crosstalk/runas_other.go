//go:build !unix

package main

import "errors"

func (o owner) become() error { return errors.ErrUnsupported }
