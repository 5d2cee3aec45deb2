package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mayMount ends the test where file systems cannot be mounted. Only who is not root, and not CI, may go without.
func mayMount(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "" {
		t.Skip("this test mounts a file system of its own, which only root may: run it as root, or with CI=1 to see it fail")
	}
	t.Fatal("this test mounts a file system of its own, which only root may, and CI must not go without it: run it as root")
}

// mount mounts something on a new folder until the test ends.
func mount(t *testing.T, args ...string) (dir string) {
	t.Helper()
	mayMount(t)
	dir = t.TempDir()
	if err := run("mount", append(args, dir)...); err != nil {
		t.Fatalf("this test needs to mount a file system, with loop devices and as root: %v", err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	return dir
}

// unmount waits for those who have not quite ended; it may be called again.
func unmount(t *testing.T, dir string) {
	t.Helper()
	var err error
	eventually(t, 10*time.Second, "unmount "+dir, func() bool {
		err = syscall.Unmount(dir, 0)
		return !errors.Is(err, syscall.EBUSY)
	})
	if err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: not mounted any more
		t.Errorf("unmount %s: %v", dir, err)
	}
}

// newImage makes a file that holds an empty ext4.
func newImage(t *testing.T, size int64) (path string) {
	t.Helper()
	mayMount(t)
	path = filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	// Nothing kept for root, and nothing left to initialise in the background.
	if err := run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", path); err != nil {
		t.Fatalf("this test needs mkfs.ext4, of the package e2fsprogs: %v", err)
	}
	return path
}

// disk is an image that is mounted.
type disk struct {
	image, dir string
	device     string // such as loop0
}

func newDisk(t *testing.T, image string, options string) *disk {
	t.Helper()
	d := &disk{image: image, dir: mount(t, "-o", options, image)}
	source, err := exec.Command("findmnt", "-n", "-o", "SOURCE", d.dir).Output()
	if err != nil {
		t.Fatalf("findmnt %s: %v", d.dir, err)
	}
	d.device = filepath.Base(strings.TrimSpace(string(source)))
	return d
}

// writes returns how many writes the device has done, and how many requests it is at.
func (d *disk) writes() (done, going int, err error) {
	b, err := os.ReadFile("/sys/block/" + d.device + "/stat")
	if err != nil {
		return 0, 0, err
	}
	var n [11]int
	for i, field := range strings.Fields(string(b))[:len(n)] {
		if _, err := fmt.Sscan(field, &n[i]); err != nil {
			return 0, 0, err
		}
	}
	return n[4], n[8], nil
}

// snapshot copies the image as it was at one moment, and fails when the device wrote meanwhile.
func (d *disk) snapshot(to string) error {
	before, going, err := d.writes()
	if err != nil {
		return err
	}
	if going > 0 {
		return errMoved
	}
	if err := copySparse(to, d.image); err != nil {
		return err
	}
	after, going, err := d.writes()
	if err == nil && (after != before || going > 0) {
		err = errMoved
	}
	return err
}

var errMoved = errors.New("the device wrote during the copy")

// copySparse leaves holes where there are zeros.
func copySparse(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size, zeros := int64(0), make([]byte, 128<<10)
	for buf := make([]byte, len(zeros)); ; {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}
