package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/bridge/push"
	"crosstalk/models"
)

// live is what a relay adds to the hub's answers where it can push: the hub cannot notify a client that it reaches by
// calls only.
type live struct {
	*push.Pusher

	mu   sync.Mutex
	own  map[string]bool // names that the client has used: it knows what it said
	last string
}

// maxNames bounds what is remembered.
const maxNames = 1000

func newLive(o Options) *live {
	if o.Follow == nil {
		return nil
	}
	l := &live{own: map[string]bool{}}
	// A hub with a key has senders of its own, who may be told from others.
	l.Pusher = push.New(push.Options{Follow: o.Follow, Log: o.Log, VerifiedOnly: o.Key != "", Own: l.isOwn})
	return l
}

func (l *live) isOwn(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own[name]
}

// called is a request to use a tool.
type called struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// calledBy reads which tool a request is for, if it is for one.
func calledBy(m *message) (c called) {
	if m.Method != "tools/call" || json.Unmarshal(m.Params, &c) != nil {
		return called{}
	}
	return c
}

// remember keeps under which name the client speaks, once the hub has let it.
func (l *live) remember(c called) {
	if c.Name != "register" && c.Name != "send_message" {
		return
	}
	name, err := models.ParseInstance("sender", catalog.Parse(c.Arguments).Who("sender"))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && (l.own[name] || len(l.own) < maxNames) {
		l.own[name], l.last = true, name
	}
}

// answer answers a call of a tool that is about live push; ours is false for what is the hub's to answer.
func (l *live) answer(ctx context.Context, c called) (a *fence.Answer, ours bool, err error) {
	in := catalog.Parse(c.Arguments)
	switch c.Name {
	case "delivery_status":
		return l.Report(), true, nil
	case "unsubscribe":
		in.NeedWho("instance_id")
	case "listen_live", "stop_listening":
	default:
		return nil, false, nil
	}
	in.Need("channel", "auth-dev")
	ch := in.Channel()
	switch err = in.Err(); {
	case err != nil:
		return nil, true, err
	case c.Name == "listen_live":
		a, err = l.listen(ctx, ch)
		return a, true, err
	}
	return l.Off(ch), true, nil
}

func (l *live) listen(ctx context.Context, ch string) (*fence.Answer, error) {
	l.mu.Lock()
	own := l.last
	l.mu.Unlock()
	// What it may read is for the hub to say.
	return l.On(ctx, models.Principal{Name: models.SharedPrincipal}, ch, own)
}

// amend changes the hub's answer to what holds for this client: it can be pushed to.
func (l *live) amend(ctx context.Context, m *message, c called, answer *message, raw []byte) []byte {
	var result map[string]any
	if answer.Method != "" || len(answer.Error) > 0 || json.Unmarshal(answer.Result, &result) != nil {
		return raw
	}
	if text, _ := json.Marshal(result["content"]); result["isError"] != true && !bytes.Contains(text, []byte("already in use")) {
		l.remember(c)
	}
	switch {
	case m.Method == "initialize":
		capabilities, _ := result["capabilities"].(map[string]any)
		if capabilities == nil {
			capabilities = map[string]any{}
		}
		capabilities["experimental"] = map[string]any{"claude/channel": map[string]any{}}
		result["capabilities"], result["instructions"] = capabilities, catalog.Instructions(true)
	case m.Method == "tools/list":
		list, _ := result["tools"].([]any)
		known := func(name string) bool {
			return slices.ContainsFunc(list, func(t any) bool {
				tool, _ := t.(map[string]any)
				return tool["name"] == name
			})
		}
		for _, t := range catalog.Tools(true) {
			if !known(t.Name) {
				list = append(list, t)
			}
		}
		result["tools"] = list
	case c.Name == "subscribe" && result["isError"] != true:
		a, err := l.listen(ctx, catalog.Parse(c.Arguments).Channel())
		if err != nil {
			return raw
		}
		result["content"] = []any{map[string]string{"type": "text", "text": a.String()}}
	default:
		return raw
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": m.ID, "result": result})
	if err != nil {
		return raw
	}
	return b
}
