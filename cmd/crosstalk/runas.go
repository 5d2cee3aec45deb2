package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner is a user and a group, by number: where the hub runs there may be no file that knows names.
type owner struct{ uid, gid int }

func parseOwner(s string) (owner, error) {
	user, group, both := strings.Cut(s, ":")
	if !both {
		group = user
	}
	uid, err := strconv.ParseUint(user, 10, 31)
	gid, gerr := strconv.ParseUint(group, 10, 31)
	if err != nil || gerr != nil || uid == 0 || uid == math.MaxInt32 {
		return owner{}, misuse("--run-as must be the number of a user that is not root, and perhaps of a group, such as 65532:65532, not %.40q", s)
	}
	return owner{int(uid), int(gid)}, nil
}

// runAs makes the process an ordinary user's if it is root's, after giving the database to that user. Hosts that give
// volumes to root alone leave no other way to run as somebody else. db is empty for none.
func runAs(s, db string) error {
	if s == "" {
		return nil
	}
	o, err := parseOwner(s)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if db != "" {
		if err := o.take(db); err != nil {
			return fmt.Errorf("give the database to user %d: %w", o.uid, err)
		}
	}
	if err := o.become(); err != nil {
		return fmt.Errorf("become user %d: %w", o.uid, err)
	}
	return nil
}

// take gives the owner the database's folder, and in it the database and the files beside it. No link is followed.
func (o owner) take(db string) error {
	dir, err := filepath.Abs(filepath.Dir(db))
	if err != nil {
		return err
	}
	if dir == filepath.Dir(dir) {
		return misuse("--run-as needs a database in a folder of its own, not %s", db)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Lchown(dir, o.uid, o.gid); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), escapeGlob(filepath.Base(db))+"*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Lchown(file, o.uid, o.gid); err != nil {
			return err
		}
	}
	return nil
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
