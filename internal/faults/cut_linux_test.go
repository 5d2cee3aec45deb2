package faults

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Of linux/ext4.h: from this call on nothing reaches the disk, the journal included, also not in the middle of an fsync.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = uint32(2)
)

// TestPowerCut takes the power away in place, again and again, from one database, its publishers and its readers. Unlike a
// copy, this also meets an fsync that is under way. Where the power goes, no answer comes any more; here the server goes
// on for a moment, and the kernel may tell it that an fsync has succeeded whose transaction ext4 has just thrown away. So
// clients hear nothing from before the cut until the restart.
func TestPowerCut(t *testing.T) {
	random, seed := chance(t)
	d := newDisk(t, newImage(t, imageSize), "loop")
	db := filepath.Join(d.dir, "bus.db")
	s := newServer(t, crosstalk(t), db)
	s.start(t)
	power := &power{}
	readers := []*reader{followWhile(t, power, s, every), followWhile(t, power, s, channels[0])}
	l := newLoad(t, seed, 8, s)
	l.power = power
	l.start()
	for range cuts {
		more := l.count() + 20
		eventually(t, 20*time.Second, "publishers go on", func() bool { return l.count() >= more || l.failed() != nil })
		<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
		power.set(false)
		d.cutOff(t)
		s.kill()
		unmount(t, d.dir)
		if err := run("mount", "-o", "loop", d.image, d.dir); err != nil {
			t.Fatal(err)
		}
		power.set(true)
		s.launch(t)
	}
	afterwards(t, l, readers, s, func() []row { return inFile(t, db) })
}

// cutOff ends all writing to the disk.
func (d *disk) cutOff(t *testing.T) {
	t.Helper()
	dir, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	how := noLogFlush
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		t.Fatalf("this test needs to shut an ext4 down, as Linux can since 4.12: %v", errno)
	}
}
