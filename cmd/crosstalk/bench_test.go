package main

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestBenchLoadsAHub(t *testing.T) {
	hub := start(t, dbIn(t), env())
	out, err := output(t, env(), "bench", "--url", hub.url, "--subscribers", "3", "--waits", "2", "--publishers", "2", "--duration", "300ms", "--json")
	var rep struct {
		Published, Deliveries int
		Server                *struct{ PID int }
	}
	if jerr := json.Unmarshal([]byte(out), &rep); err != nil || jerr != nil || rep.Published == 0 || rep.Deliveries != 5*rep.Published {
		t.Errorf("%v, %v: %s", err, jerr, out)
	}
	out, err = output(t, env("CROSSTALK_URL", hub.url), "bench", "--subscribers", "1", "--rate", "50", "--duration", "300ms")
	if err != nil || !strings.Contains(out, "P99 MS") || !strings.Contains(out, "lost 0, repeated 0, out of order 0") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestBenchMeasuresAHubAtRest(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not let a process be watched")
	}
	hub := start(t, dbIn(t), env())
	args := []string{"bench", "--idle", "--url", hub.url, "--subscribers", "2", "--waits", "3", "--calls", "2", "--named", "--settle", "0s", "--duration", "100ms"}
	out, err := output(t, env(), append(args, "--json")...)
	var rep struct {
		Subscribers, Waiters, Callers, PID int
		Seconds                            float64
		MemoryMB                           float64 `json:"memory_mb"`
	}
	jerr := json.Unmarshal([]byte(out), &rep)
	if err != nil || jerr != nil || rep.Subscribers != 2 || rep.Waiters != 3 || rep.Callers != 2 || rep.PID != os.Getpid() || rep.Seconds < .1 || rep.MemoryMB <= 0 {
		t.Errorf("%v, %v: %s", err, jerr, out)
	}
	if out, err = output(t, env(), args...); err != nil || !strings.Contains(out, "IDLE CPU %") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := output(t, env("CROSSTALK_URL", hub.url), "instances"); err != nil || strings.Count(out, "\nbench-") != 8 {
		t.Errorf("listeners and callers have not said who they are: %v, %s", err, out)
	}
}

func TestBenchStartsAHubOfItsOwn(t *testing.T) {
	t.Setenv(asMain, "1")
	out, err := output(t, env(asMain, "1"), "bench", "--subscribers", "1", "--duration", "200ms")
	if err != nil || !strings.Contains(out, "delivered") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestBenchRefusesWhatCannotBe(t *testing.T) {
	for _, args := range []string{"--publishers 0", "--subscribers -1", "--size 0", "--duration 1ms", "--rate -5", "--channels 0", "--url nowhere", "--duration soon",
		"--calls 1", "--idle --calls -1", "--idle --settle -1s"} {
		_, err := output(t, env(), append([]string{"bench"}, strings.Fields(args)...)...)
		if _, misused := errors.AsType[usageError](err); err == nil || !misused && args != "--url nowhere" {
			t.Errorf("%s: %v", args, err)
		}
	}
}
