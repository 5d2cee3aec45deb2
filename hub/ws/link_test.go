package ws

import (
	"bytes"
	"testing"
	"testing/synctest"

	"crosstalk/auth"
)

// TestPongsMayComeAnywhere sends commands with pongs before, between and within them, frame by frame, and with a part as
// long as a pong cut out anywhere. On a pipe each part is read for itself.
func TestPongsMayComeAnywhere(t *testing.T) {
	pong := masked(fin|opPong, nil)
	like := append([]byte{fin | opText, 0x80 | 30, 0xAA, 0xA0, 3, 4}, []byte(`{"type":"ping",      "id":3  }`)...)
	for i := range like[6:] {
		like[6+i] ^= like[2+i%4]
	}
	if at := bytes.Index(like, []byte{fin | opPong, 0x80}); at != 22 {
		t.Fatalf("no part of a frame looks like a pong: %x", like)
	}
	frames := [][]byte{
		pong, pong, masked(fin|opText, []byte(`{"type":"ping","id":1}`)), pong,
		masked(opText, []byte(`{"type":"pi`)), pong, masked(fin, []byte(`ng","id":2}`)),
		masked(fin|opPong, []byte("of old")), pong, like[:22], like[22:28], like[28:], pong,
		bytes.Repeat(pong, 3), masked(fin|opText, []byte(`{"type":"ping","id":4}`)), pong,
	}
	all := bytes.Join(frames, nil)
	ways := [][][]byte{frames}
	for cut := range all[:len(all)-len(pong)] {
		ways = append(ways, [][]byte{all[:cut], all[cut : cut+len(pong)], all[cut+len(pong):]})
	}
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		for _, parts := range ways {
			p := h.connect("/ws")
			p.read("welcome")
			go func() {
				for _, b := range parts {
					p.write(b)
				}
			}()
			for _, id := range []string{"1", "2", "3", "4"} {
				if m := p.read("pong"); string(m.ID) != id {
					t.Fatalf("%x: the answer to %s, want that to %s", parts, m.ID, id)
				}
			}
			synctest.Wait() // for the last pong, too
			p.say(`{"type":"ping","id":5}`)
			p.read("pong")
			_ = p.nc.Close()
		}
	})
}
