package main

import (
	"errors"
	"log/slog"
	"time"

	"crosstalk/auth"
)

// minKept is the least that --keep-messages keeps, so that a slip does not empty a bus.
const minKept = 1000

// serveCommand is every setting of the hub. The from tag names the variables that fill a flag.
type serveCommand struct {
	Addr             []string `group:"Listening" placeholder:"HOST:PORT" from:"CROSSTALK_ADDR" help:"Listen here. localhost is both loopback addresses, an empty host is all interfaces. Without it: localhost:8787."`
	Port             string   `group:"Listening" placeholder:"N" from:"CROSSTALK_PORT,PORT" help:"Listen on this port, as hosting platforms ask: on all interfaces if there is a key, else on loopback. --addr goes before."`
	ServerURL        string   `group:"Listening" name:"server-url" placeholder:"URL" from:"CROSSTALK_SERVER_URL,SERVER_URL" help:"Where clients reach this hub, such as https://bus.example.com."`
	Pprof            string   `group:"Listening" placeholder:"HOST:PORT" from:"CROSSTALK_PPROF" help:"Serve Go's profiles here; a loopback address."`
	Key              string   `group:"Access" placeholder:"KEY" from:"CROSSTALK_KEY,MCP_API_KEY" help:"The key that every caller must show as Authorization: Bearer KEY. Give it as a variable: arguments can be seen by everyone on the machine."`
	AllowedHost      []string `group:"Access" placeholder:"HOST" from:"CROSSTALK_ALLOWED_HOST" help:"Without a key, also answer to this name; for instance the machine's own."`
	AllowedOrigin    []string `group:"Access" placeholder:"ORIGIN" from:"CROSSTALK_ALLOWED_ORIGIN" help:"Let web pages from here call the hub, such as https://app.example.com."`
	databaseSettings `embed:""`
	serverSettings   `embed:""`
	CleanupDays      int           `group:"Storage" default:"30" placeholder:"DAYS" from:"CROSSTALK_CLEANUP_DAYS,CLEANUP_DAYS" help:"Delete messages older than this; 0 keeps them at any age. Without it: 30."`
	KeepMessages     int64         `group:"Storage" placeholder:"N" from:"CROSSTALK_KEEP_MESSAGES" help:"Delete all but the newest N messages of the bus; 0 keeps any number. Without it: 0."`
	RunAs            string        `group:"Storage" placeholder:"UID:GID" from:"CROSSTALK_RUN_AS" help:"Started as root, give the database's folder to this user and go on as it."`
	Compat           bool          `group:"Access" from:"CROSSTALK_COMPAT" help:"MCP clients see the name cross-claude-mcp, for configurations that look for it, and may show a key as ?api_key=."`
	LogLevel         string        `group:"Logs" enum:"debug,info,warn,error" default:"info" placeholder:"LEVEL" from:"CROSSTALK_LOG_LEVEL" help:"debug, info, warn or error. Only debug shows what messages say."`
	LogFormat        string        `group:"Logs" enum:"auto,text,json" default:"auto" placeholder:"FORMAT" from:"CROSSTALK_LOG_FORMAT" help:"text, json, or auto: text on a terminal and JSON elsewhere."`
	Waits            waitSettings  `embed:""`
	Limits           limitSettings `embed:""`
}

// Help shows what people do with it.
func (serveCommand) Help() string {
	return `Each flag can also be set by the variable in brackets; the flag goes before.
/livez and /readyz answer those who watch the process, /metrics answers Prometheus, which must show a key where there are keys.

Examples:

    crosstalk serve
    crosstalk serve --addr localhost:9000 --db ./team.db
    DATABASE_URL=postgres://crosstalk:secret@db.example.com/team crosstalk serve
    MCP_API_KEY=$(openssl rand -hex 32) PORT=8787 crosstalk serve`
}

// gate says whom to let in, as far as settings do.
func (s *serveCommand) gate(log *slog.Logger) auth.Config {
	return auth.Config{
		Key: s.Key, ServerURL: s.ServerURL, AllowedHosts: s.AllowedHost, AllowedOrigins: s.AllowedOrigin, Compat: s.Compat, Log: log,
		TrustedProxies: s.Limits.TrustedProxy, Limits: s.Limits.limits(),
	}
}

// Run serves until p's context ends, and then until everything is in order.
func (s *serveCommand) Run(p *process) (err error) {
	log := newLog(p.stderr, s.LogLevel, s.LogFormat)
	if err := s.faults(p); err != nil {
		return err
	}
	gate := s.gate(log)
	db, err := s.database(p)
	if err != nil {
		return err
	}
	if db, err = db.with(s.serverSettings); err != nil {
		return err
	}
	if err := runAs(s.RunAs, db.file); err != nil {
		return err
	}
	keyed := s.Key != ""
	if !keyed {
		if keyed, err = anyKey(p.ctx, db); err != nil {
			return err
		}
	}
	places, why, err := s.places(keyed)
	if err != nil {
		return err
	}
	profiles, err := openProfiles(p.ctx, log, s.Pprof)
	if err != nil {
		return err
	}
	if profiles != nil {
		defer func() { _ = profiles.Close() }()
	}
	memory := boundMemory(p, log, db)
	// The port comes before the database, so that a hub which cannot start leaves no trace.
	listeners, err := listen(p.ctx, log, places)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	srv, err := openServer(p.ctx, log, serverOptions{
		db: db, keep: keep{time.Duration(s.CleanupDays) * 24 * time.Hour, s.KeepMessages}, gate: gate, serverURL: s.ServerURL,
		compat: s.Compat, waits: s.Waits, bodies: bodiesIn(memory), connections: connectionsIn(memory, s.Limits.LimitAllConnections),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.close()) }()
	srv.service = newService(p, log)
	hintImport(p.ctx, srv.store, db, p)
	if why != "" {
		log.Info(why)
	}
	for _, l := range listeners {
		log.Info("listening", "addr", l.Addr().String(), "db", db.String(), "bus_id", srv.hub.BusID())
	}
	greet(p.stdout, localURL(listeners[0]), portOf(listeners[0]), srv.gate.Keyed())
	return srv.run(p.ctx, listeners, profiles)
}
