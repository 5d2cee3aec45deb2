package main

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"crosstalk/bridge"
	"crosstalk/bridge/relay"
	"crosstalk/bridge/wire"
	"crosstalk/hub"
	"crosstalk/models/store/access"
)

// waitSettings are how long waits last; serve and mcp share them.
type waitSettings struct {
	WaitCeiling float64 `group:"Waiting" default:"25" placeholder:"MINUTES" from:"CROSSTALK_WAIT_CEILING,WAIT_TRANSPORT_CEILING_MIN" help:"No wait of an MCP client lasts longer. Without it: 25."`
	MutualGrace int     `group:"Waiting" default:"30000" placeholder:"MS" from:"CROSSTALK_MUTUAL_GRACE,MUTUAL_WAIT_GRACE_MS" help:"After so long one of those that only wait for each other is told. Without it: 30000."`
	NoLoopGuard bool    `group:"Waiting" from:"CROSSTALK_NO_LOOP_GUARD" help:"Let two agents that talk only to each other go on for ever."`
}

func (w waitSettings) check() error {
	var all []error
	if w.WaitCeiling <= 0 || w.WaitCeiling > 24*60 {
		all = append(all, misuse("--wait-ceiling must be minutes, more than 0 and at most a day, not %v", w.WaitCeiling))
	}
	if w.MutualGrace <= 0 || w.MutualGrace > 24*60*60*1000 {
		all = append(all, misuse("--mutual-grace must be milliseconds, more than 0 and at most a day, not %d", w.MutualGrace))
	}
	return errors.Join(all...)
}

func (w waitSettings) ceiling() time.Duration {
	return time.Duration(w.WaitCeiling * float64(time.Minute))
}

func (w waitSettings) grace() time.Duration { return time.Duration(w.MutualGrace) * time.Millisecond }

// mcpCommand is what an AI client starts.
type mcpCommand struct {
	databaseSettings `embed:""`
	serverSettings   `embed:""`
	URL              string       `name:"url" placeholder:"URL" from:"CROSSTALK_URL" help:"Use the hub there, and no database of this machine."`
	Key              string       `placeholder:"KEY" from:"CROSSTALK_KEY,MCP_API_KEY" help:"The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine."`
	Push             bool         `from:"CROSSTALK_PUSH" help:"Push messages into Claude Code while it is idle."`
	Compat           bool         `from:"CROSSTALK_COMPAT" help:"Answer to the name cross-claude-mcp, for configurations that look for it."`
	LogLevel         string       `enum:"debug,info,warn,error" default:"warn" placeholder:"LEVEL" from:"CROSSTALK_LOG_LEVEL" help:"debug, info, warn or error, on standard error."`
	LogFormat        string       `enum:"auto,text,json" default:"text" placeholder:"FORMAT" from:"CROSSTALK_LOG_FORMAT" help:"text, json, or auto: text on a terminal and JSON elsewhere."`
	Waits            waitSettings `embed:""`
}

// Help shows how clients start it.
func (m *mcpCommand) Help() string {
	return `An AI client starts this command and speaks to it over standard input and output; several may run at the same time
on one database, and beside crosstalk serve. crosstalk mcp-config CLIENT prints what a client's configuration must say.

Examples:

    claude mcp add crosstalk -- crosstalk mcp
    CROSSTALK_KEY=secret crosstalk mcp --url https://bus.example.com`
}

// Run answers the client until its input ends or p's context does.
func (m *mcpCommand) Run(p *process) error {
	log := newLog(p.stderr, m.LogLevel, m.LogFormat)
	if err := m.Waits.check(); err != nil {
		return err
	}
	if m.URL != "" {
		o := relay.Options{URL: m.URL, Key: m.Key, In: p.stdin, Out: p.stdout, Log: log}
		if m.Push {
			o.Follow = followRemote(log, m.URL, m.Key)
		}
		return relay.Run(p.ctx, o)
	}
	db, err := m.database(p)
	if err == nil {
		db, err = db.with(m.serverSettings)
	}
	if err != nil {
		return err
	}
	l, err := openLocal(p.ctx, log, db, keep{}, hub.Options{Grace: m.Waits.grace(), LoopGuard: !m.Waits.NoLoopGuard})
	if err != nil {
		return err
	}
	hintImport(p.ctx, l.store, db, p)
	// Where there are keys with names, who is not verified may be anybody.
	keyed, err := access.New(l.store).AnyKey(p.ctx)
	if err != nil {
		return errors.Join(err, l.close())
	}
	b := bridge.New(bridge.Options{
		Hub: l.hub, Version: versionText(), Log: log, Compat: m.Compat, Push: m.Push, VerifiedOnly: keyed, WaitCeiling: m.Waits.ceiling(),
	})
	live, kill := context.WithCancel(context.WithoutCancel(p.ctx))
	defer kill()
	parts, live := errgroup.WithContext(live)
	l.run(live, parts)
	err = wire.Stdio(drainFirst(p.ctx, l.hub), p.stdin, p.stdout, wire.Options{Bridge: b, Log: log, Push: m.Push})
	if errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
		err = nil
	}
	kill()
	return errors.Join(err, parts.Wait(), l.close())
}

// drainFirst is a context that ends a moment after ctx, when those who wait have been answered.
func drainFirst(ctx context.Context, h *hub.Hub) context.Context {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		h.Drain()
		end()
	})
	return later
}
