package ws

import (
	"fmt"
	"testing"

	"crosstalk/auth"
)

func TestDeliversInOrderToEverySubscriber(t *testing.T) {
	h := newHouse(t, auth.Config{})
	var peers []*peer
	for range 20 {
		p := h.connect("/ws?channels=a,b")
		p.read("welcome")
		p.read("subscribed")
		p.read("subscribed")
		peers = append(peers, p)
	}
	for i := range 200 {
		h.publish([]string{"a", "b"}[i%2], "bob", fmt.Sprint(i))
	}
	for n, p := range peers {
		for i := range 200 {
			if m := p.read("message").Message; m.Content != fmt.Sprint(i) || m.ID != int64(i+1) {
				t.Fatalf("peer %d: message %d is %+v", n, i, m)
			}
		}
	}
}
