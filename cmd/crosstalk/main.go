// Command crosstalk runs and serves a message bus for AI agents and the people who run them. Every setting is a flag, and
// an environment variable fills each one that is not given: crosstalk serve --help lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// main alone touches the process. The first signal asks the program to end in order; from then on signals are no
// longer caught, so that a second one ends it at once.
func main() {
	signal.Ignore(syscall.SIGPIPE) // a client that closes our output first is told of by the write that fails
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	if _, waking := errors.AsType[wake](err); err != nil && !waking {
		_, _ = fmt.Fprintln(os.Stderr, "crosstalk:", paragraph(err.Error(), "    "))
	}
	os.Exit(exitCode(err))
}

// exitCode is 2 when the command was not understood, as it is for other commands, 3 when nobody answered, and 1 when it
// failed.
func exitCode(err error) int {
	_, misused := errors.AsType[usageError](err)
	_, alone := errors.AsType[noAnswer](err)
	_, waking := errors.AsType[wake](err)
	switch {
	case err == nil:
		return 0
	case misused || waking:
		return 2
	case alone:
		return 3
	}
	return 1
}

// usageError is a command line or setting that asks for what cannot be.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// process is what a subcommand may use of the process it runs in.
type process struct {
	ctx            context.Context
	getenv         func(string) string // for what is no setting, such as HOME
	stdin          io.Reader
	stdout, stderr io.Writer
	environment    *environment
}

// filled says that a flag has its value from a variable, if it has one.
func (p *process) filled(flag string) bool { return p.environment.used[flag] != "" }

// commands is the command line: one field for each subcommand.
type commands struct {
	Serve      serveCommand      `cmd:"" help:"Run the hub: REST, WebSocket, Server-Sent Events and MCP on one port."`
	MCP        mcpCommand        `cmd:"" name:"mcp" help:"Serve one AI client over standard input and output."`
	MCPConfig  mcpConfigCommand  `cmd:"" name:"mcp-config" help:"Print what an AI client's configuration must say."`
	Send       sendCommand       `cmd:"" help:"Send a message, and wait for the answer if asked to."`
	Tail       tailCommand       `cmd:"" help:"Show messages as they come."`
	Channels   channelsCommand   `cmd:"" help:"List channels, and say what each keeps."`
	Keys       keysCommand       `cmd:"" help:"Make, list, rotate and revoke keys."`
	Audit      auditCommand      `cmd:"" help:"Print who did what."`
	Invites    invitesCommand    `cmd:"" help:"Invite people to connect claude.ai, ChatGPT and their like."`
	Instances  instancesCommand  `cmd:"" help:"List who has been here, and who is online."`
	Search     searchCommand     `cmd:"" help:"Search messages."`
	Hook       hookCommand       `cmd:"" help:"Answer the events of Claude Code, so that sessions hear what is new."`
	Data       dataCommand       `cmd:"" help:"Put, get, list and remove shared data."`
	Export     exportCommand     `cmd:"" help:"Write out all messages of a channel."`
	Bench      benchCommand      `cmd:"" help:"Load a hub, and tell what its users would have felt."`
	Doctor     doctorCommand     `cmd:"" help:"Find out what is wrong, and what to mend."`
	Import     importCommand     `cmd:"" help:"Take over the messages of another program."`
	Config     configCommand     `cmd:"" help:"Show every setting of serve, its value and where that came from."`
	Backup     backupCommand     `cmd:"" help:"Copy a SQLite database that is in use."`
	Restore    restoreCommand    `cmd:"" help:"Put a copy in the place of a SQLite database."`
	Verify     verifyCommand     `cmd:"" help:"Recount a database: ids, counts, search index and read positions."`
	Stats      statsCommand      `cmd:"" help:"Show how large a database and each of its channels is."`
	Migrate    migrateCommand    `cmd:"" help:"Look at the tables of a database, or bring them up to date."`
	Version    versionCommand    `cmd:"" help:"Print the version of this build and of what it stands on."`
	Completion completionCommand `cmd:"" help:"Print a script that completes this command in your shell."`
}

const about = "Crosstalk is a message bus for AI agents and the people who run them."

// run is the program. It returns when the subcommand has ended, or once ctx has ended and the subcommand has
// put everything in order. Nothing it does outlives it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	bare := len(args) == 0
	switch {
	case bare && getenv("PORT") != "":
		args = []string{"serve"}
	case bare && !terminal(stdin):
		args = []string{"mcp"}
	case bare:
		args = []string{"--help"}
	}
	for _, arg := range args {
		if !utf8.ValidString(arg) { // which kong would change in silence
			return misuse("the argument %q is not valid UTF-8: convert it, for instance with iconv -t UTF-8", arg)
		}
	}
	k, env, err := newParser(&commands{}, getenv, stdout, stderr)
	if err != nil {
		return err
	}
	helped := false
	k.Exit = func(int) { helped = true }
	parsed, err := k.Parse(args)
	switch {
	case errors.Is(err, syscall.EPIPE): // kong writes nothing but help
		return nil
	case helped && bare:
		_, err = fmt.Fprintln(outlet{stdout}, "\nTo start a hub on this machine: crosstalk serve\nTo let an AI client start one of its own: crosstalk mcp-config CLIENT")
		return faultsOf(err)
	case helped:
		return nil
	case err == nil && len(env.faults) > 0 && !tellsOfSettings(parsed):
		err = errors.Join(env.faults...)
	}
	switch {
	case err != nil && args[0] == "hook":
		return errors.New(err.Error()) // to who calls hooks, the exit code of misuse means something else
	case err != nil:
		return usageError{err}
	}
	return faultsOf(parsed.Run(&process{ctx: ctx, getenv: getenv, stdin: stdin, stdout: outlet{stdout}, stderr: stderr, environment: env}))
}

// tellsOfSettings is for commands that say what is wrong with all settings, not only with those that cannot be understood.
func tellsOfSettings(parsed *kong.Context) bool {
	return parsed.Command() == "serve" || parsed.Command() == "config"
}

// terminal says whether a person sits at in, and no program.
func terminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return in == nil
	}
	info, err := f.Stat()
	return err != nil || info.Mode()&os.ModeCharDevice != 0
}

func newParser(c *commands, getenv func(string) string, stdout, stderr io.Writer) (*kong.Kong, *environment, error) {
	env := &environment{getenv: getenv, used: map[string]string{}, wrong: map[string]string{}}
	k, err := kong.New(c,
		kong.Name("crosstalk"),
		kong.Description(about),
		kong.Writers(stdout, stderr),
		kong.Resolvers(env),
		kong.ValueFormatter(withVariables),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)
	return k, env, err
}
