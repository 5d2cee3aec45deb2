package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupAndGoingBack tells the whole story with a hub in a process of its own.
func TestBackupAndGoingBack(t *testing.T) {
	db := dbIn(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	getenv := env("CROSSTALK_DB", db)
	hub := spawn(t, db)
	post(t, client(t), hub.url, "general", "before")
	if got := does(t, getenv, "", "backup", file).well(t); !strings.Contains(got, file+": 1 messages in 1 channels, the newest 1; ") {
		t.Errorf("backup says %q", got)
	}
	if got := does(t, getenv, "", "backup", file); got.code != 1 || !strings.Contains(got.err.Error(), "is there already: name another file, or say --force") {
		t.Errorf("twice: %d, %v", got.code, got.err)
	}
	post(t, client(t), hub.url, "general", "after")
	var was page
	call(t, client(t), hub.url+"/api/messages/general", nil, &was)
	if got := does(t, getenv, "", "restore", file); got.code != 1 || !strings.Contains(got.err.Error(), db+" is in use: stop every crosstalk") {
		t.Errorf("while the hub runs: %d, %v", got.code, got.err)
	}
	if got := post(t, client(t), hub.url, "general", "goes on"); got != 3 {
		t.Errorf("the hub goes on with message %d", got)
	}
	hub.exited(t, os.Kill) // what it leaves in its log belongs to what is kept
	got := does(t, getenv, "", "restore", file).well(t)
	if !strings.Contains(got, db+" is restored: 1 messages in 1 channels, the newest 1; ") || !strings.Contains(got, "\nwhat was there before is "+db+".before-") {
		t.Errorf("restore says %q", got)
	}
	r := start(t, db, env())
	var now page
	call(t, client(t), r.url+"/api/messages/general?after_id=0", nil, &now)
	if len(now.Messages) != 1 || now.Messages[0].Content != "before" || now.BusID == was.BusID || now.BusID == "" {
		t.Errorf("%+v, it was %+v", now, was)
	}
}

func TestBackupOfWhatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		env  func(string) string
		args []string
		want string
		code int
	}{
		{env("HOME", dir), []string{"backup", filepath.Join(dir, "x")}, "there is no database at " + filepath.Join(dir, ".crosstalk", "crosstalk.db"), 1},
		{env("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/db"), []string{"backup", "x"}, "pg_dump --format=custom", 1},
		{env("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/db"), []string{"restore", "x"}, "pg_restore: docs/operations.md", 1},
		{env("HOME", dir), []string{"restore", filepath.Join(dir, "none")}, "cannot be restored: ", 1},
		{env("HOME", dir), []string{"backup"}, `expected "<file>"`, 2},
	} {
		got := does(t, tc.env, "", tc.args...)
		if got.code != tc.code || !strings.Contains(got.err.Error(), tc.want) || strings.Contains(got.err.Error(), "secret") {
			t.Errorf("crosstalk %s: %d, %v, want %q", strings.Join(tc.args, " "), got.code, got.err, tc.want)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("%v is there, %v", list, err)
	}
}
