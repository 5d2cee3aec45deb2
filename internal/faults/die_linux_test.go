package faults

import "syscall"

// dieWithUs has the kernel kill a server whose test has died, of a timeout for instance.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
