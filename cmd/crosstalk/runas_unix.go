//go:build unix

package main

import "syscall"

// become is for good, and for all threads.
func (o owner) become() error {
	if err := syscall.Setgroups([]int{o.gid}); err != nil {
		return err
	}
	if err := syscall.Setgid(o.gid); err != nil {
		return err
	}
	return syscall.Setuid(o.uid)
}
