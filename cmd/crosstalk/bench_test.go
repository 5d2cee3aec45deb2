package main

import (
	"encoding/json"
	"errors"
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

func TestBenchStartsAHubOfItsOwn(t *testing.T) {
	t.Setenv(asMain, "1")
	out, err := output(t, env(asMain, "1"), "bench", "--subscribers", "1", "--duration", "200ms")
	if err != nil || !strings.Contains(out, "delivered") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestBenchRefusesWhatCannotBe(t *testing.T) {
	for _, args := range []string{"--publishers 0", "--subscribers -1", "--size 0", "--duration 1ms", "--rate -5", "--channels 0", "--url nowhere", "--duration soon"} {
		_, err := output(t, env(), append([]string{"bench"}, strings.Fields(args)...)...)
		if _, misused := errors.AsType[usageError](err); err == nil || !misused && args != "--url nowhere" {
			t.Errorf("%s: %v", args, err)
		}
	}
}
