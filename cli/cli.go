// Package cli is the command line of dps: the subcommands that serve, those that
// operate a deployment through the client package, and those that are a simulated
// device. Arguments and streams enter, an exit code leaves.
package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Env is what a command takes from its process.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        []string
	Now            func() time.Time
	Rand           io.Reader
}

// Exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1 // the command was understood and did not succeed
	ExitUsage  = 2 // the command line is wrong
	// ExitRejected: an import is through, but for rows that it rejected.
	ExitRejected = 3
	// ExitChanges: a plan has changes. A wrong command line of plan and apply exits with
	// ExitFailed, so that scripts can tell.
	ExitChanges = 2
)

type root struct {
	Dev          devCmd          `cmd:"" help:"Run a complete development deployment: embedded store, CA, one ID scope, two embedded hubs." group:"Serve"`
	Serve        serveCmd        `cmd:"" help:"Run a production server." group:"Serve"`
	Migrate      migrateCmd      `cmd:"" help:"Apply pending migrations to a store." group:"Serve"`
	Keys         keysCmd         `cmd:"" help:"Make and rotate the keyring that seals secrets at rest." group:"Serve"`
	Token        tokenCmd        `cmd:"" help:"Replace the admin token of a deployment." group:"Serve"`
	HubEmulator  hubEmulatorCmd  `cmd:"" help:"Run one embedded hub as a process of its own." group:"Serve"`
	Scope        scopeCmd        `cmd:"" help:"Operate ID scopes." group:"Operate"`
	Hub          hubCmd          `cmd:"" help:"Operate linked hubs." group:"Operate"`
	CA           caCmd           `cmd:"" name:"ca" help:"Operate CA certificates." group:"Operate"`
	Allocation   allocationCmd   `cmd:"" help:"Say where devices would go, and move them." group:"Operate"`
	Webhook      webhookCmd      `cmd:"" help:"Operate how allocation webhooks are called." group:"Operate"`
	Hook         hookCmd         `cmd:"" help:"Operate the hooks that lifecycle events are delivered to." group:"Operate"`
	Event        eventCmd        `cmd:"" help:"Read lifecycle events." group:"Operate"`
	Site         siteCmd         `cmd:"" help:"Operate the table of sites, by which devices in networks of one's own are located." group:"Operate"`
	Latency      latencyCmd      `cmd:"" help:"Operate what is known of the latencies between devices and hubs." group:"Operate"`
	Deny         denyCmd         `cmd:"" help:"Operate the deny list of a scope." group:"Operate"`
	Policy       policyCmd       `cmd:"" help:"Operate access policies of the service API." group:"Operate"`
	Enrollment   enrollmentCmd   `cmd:"" help:"Operate individual enrollments: one by one, and in files." group:"Operate"`
	Group        groupCmd        `cmd:"" help:"Operate enrollment groups." group:"Operate"`
	Registration registrationCmd `cmd:"" help:"Look at and forget registration records." group:"Operate"`
	Attestation  attestationCmd  `cmd:"" help:"Check the certificates of devices." group:"Operate"`
	Refusal      refusalCmd      `cmd:"" help:"Look at who was turned away." group:"Operate"`
	State        stateCmd        `cmd:"" help:"Show the state of a replica and of the store." group:"Operate"`
	Store        storeCmd        `cmd:"" help:"Back up, restore and copy stores." group:"Operate"`
	IPFilter     ipFilterCmd     `cmd:"" name:"ip-filter" help:"Operate the IP filter of a scope." group:"Operate"`
	Audit        auditCmd        `cmd:"" help:"Read the audit log." group:"Operate"`
	Plan         planCmd         `cmd:"" aliases:"diff" help:"Show what applying a declaration would change." group:"Declare"`
	Apply        applyCmd        `cmd:"" help:"Make a deployment what a declaration says." group:"Declare"`
	Export       exportCmd       `cmd:"" help:"Write an ID scope as a declaration." group:"Declare"`
	Import       importCmd       `cmd:"" help:"Move from the original." group:"Declare"`
	Device       deviceCmd       `cmd:"" help:"Be a device, or a fleet of them." group:"Devices"`
	Completion   completionCmd   `cmd:"" help:"Print the script that completes dps in a shell." group:"Serve"`
	Version      versionCmd      `cmd:"" help:"Print version and build." group:"Serve"`
}

// understood returns the command of a wrong command line as far as it is one.
func understood(err error) string {
	words := []string{"dps"}
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		for _, step := range wrong.Context.Path {
			if step.Command != nil {
				words = append(words, step.Command.Name)
			}
		}
	}
	return strings.Join(words, " ")
}

// Main runs one command and returns the exit code.
func Main(ctx context.Context, args []string, env *Env) int {
	var r root
	exit := -1
	parser, err := kong.New(&r,
		kong.Name("dps"),
		kong.Description("Zero-touch device provisioning, wire-compatible with Azure IoT Hub Device Provisioning Service."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(env),
		kong.Vars{"version": version()},
	)
	if err != nil {
		panic(err) // the command structs are wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == completeWord {
		complete(parser.Model, args[1:], env.Stdout)
		return ExitOK
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // help was asked for and printed
		return exit
	}
	if err != nil {
		_, _ = fmt.Fprintf(env.Stderr, "dps: %v\nTry \"%s --help\".\n", err, understood(err))
		return usageCode(args)
	}
	if err := command.Run(); err != nil {
		return fail(env, args, err)
	}
	return ExitOK
}

// usageCode is the exit code of a wrong command line.
func usageCode(args []string) int {
	switch args[0] {
	case "plan", "diff", "apply":
		return ExitFailed
	}
	return ExitUsage
}

// usageError is a command line that kong takes and the command does not.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

func fail(env *Env, args []string, err error) int {
	if code, silent := errors.AsType[exitError](err); silent {
		return int(code)
	}
	if errors.Is(err, context.Canceled) {
		return ExitFailed
	}
	_, _ = fmt.Fprintf(env.Stderr, "dps: %s%s\n", strings.TrimSpace(err.Error()), adviceOn(err))
	if usage := (usageError{}); errors.As(err, &usage) {
		return usageCode(args)
	}
	if _, some := errors.AsType[*rejectedError](err); some {
		return ExitRejected
	}
	return ExitFailed
}

// adviceOn says what to do about an error that tells only what is.
func adviceOn(err error) string {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return "; a CA of your own is named by --admin-ca FILE (devices: --ca, dps import enrollments: --from-ca)"
	}
	return ""
}

// say writes a line for a person; a closed pipe is their business.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
