//go:build !linux

package faults

import "syscall"

func dieWithUs() *syscall.SysProcAttr { return nil }
