// Command bench measures dps against the bars of docs/performance.md. It builds dps,
// starts it with a real Postgres and with hubs in processes of their own, plays
// devices against it, and prints ratios to a base that it measures in the same run:
// only those mean anything on a machine that is shared or unlike another. A missed bar
// is said, and is no failure of the command.
//
//	go run ./test/bench [-quick] [-rounds N] [-devices N] NAME
//
// The processor time of other processes is read from /proc, so it runs on Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// benchmark is one that can be named on the command line.
type benchmark struct {
	name, about string
	run         func(context.Context, *lab) error
	alone       bool // not one of all
}

func benchmarks() []benchmark {
	return []benchmark{
		{"registration", "bars 1 and 2: processor time of a first boot over HTTPS", measureRegistration, false},
		{"latency", "bar 5: time to register, idle server, embedded hub", measureLatency, false},
		{"commit", "bars 3 and 4: group commit at the store's interface", measureCommit, false},
		{"lookup", "bar 6: admission and registration among many enrollments and groups", measureLookup, false},
		{"import", "bar 9: a lot through the API against COPY and against batched inserts", measureImport, false},
		{"query", "a page deep inside 10 million enrollments against the first", measureQuery, false},
		{"memory", "bar 7: memory per waiting device", measureMemory, false},
		{"transports", "bar 8: processor time of a first boot over each transport", measureTransports, false},
		{"tpm", "processor time of a first boot with a TPM", measureTPM, false},
		{"allocation", "the choice of a hub: by each policy among many, by a webhook beside the hash, and a plan", measureAllocation, false},
		{"events", "lifecycle events: what a first boot costs with them, and how fast they are delivered", measureEvents, false},
		{"geolatency", "geoLatency in a simulated world: milliseconds lost against the nearest hub", measureGeoLatency, false},
		{"isolation", "what a hub that hangs, throttles or dies does to the devices of another", measureIsolation, false},
		{"plan", "an allocation plan over 10 million registrations, beside a plain scan of them", measureForecast, true},
		{"revocation", "a revocation list of a million entries against x509's and a map", measureRevocation, false},
		{"refusal", "whether the time of a refusal tells who is enrolled", measureRefusal, false},
		{"connections", "bar 7: memory per idle connection of MQTT, AMQP and WebSockets", measureConnections, false},
		{"storm", "a thousand devices at once over each transport, alone and beside hostile peers", measureStorm, false},
		{"fleet", "ten thousand devices boot against dps dev", measureFleet, false},
		{"soak", "100,000 connections come and go, and nothing stays", measureSoak, true},
	}
}

// options are the flags.
type options struct {
	quick   bool
	rounds  int
	devices int
	keep    bool
	only    string
	binary  string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	if len(args) > 0 && args[0] == baseServerName {
		return serveBase(args[1:], errs)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	var o options
	flags.BoolVar(&o.quick, "quick", false, "fewer rounds; lookup and query stop at 1 million enrollments, import takes 100,000 rows")
	flags.IntVar(&o.rounds, "rounds", 0, "interleaved rounds; default 7, with -quick 3")
	flags.IntVar(&o.devices, "devices", 0, "devices per round and variant of registration; default 1500, with -quick 400")
	flags.BoolVar(&o.keep, "keep", false, "keep the temporary folder, with the logs")
	flags.StringVar(&o.binary, "dps", "", "dps binary to measure instead of building one (to compare two)")
	flags.StringVar(&o.only, "only", "", "of registration, the variants whose name begins so, and their base (to profile): postgres-x509, sqlite-key; of import, one store; of lookup, one of enrollments, groups, keys and prefixes")
	flags.Usage = func() { usage(flags) }
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen := choose(flags.Arg(0))
	if flags.NArg() != 1 || len(chosen) == 0 {
		usage(flags)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o, chosen, out); err != nil {
		_, _ = fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	return 0
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	_, _ = fmt.Fprintln(w, "usage: go run ./test/bench [flags] NAME\n\nall           all of these")
	for _, b := range benchmarks() {
		_, _ = fmt.Fprintf(w, "%-13s %s\n", b.name, b.about)
	}
	flags.PrintDefaults()
}

func choose(name string) []benchmark {
	if name == "all" {
		return slices.DeleteFunc(benchmarks(), func(b benchmark) bool { return b.alone })
	}
	for _, b := range benchmarks() {
		if b.name == name {
			return []benchmark{b}
		}
	}
	return nil
}

// measure runs the benchmarks one after another, each with processes of its own.
func measure(ctx context.Context, o options, chosen []benchmark, out io.Writer) (err error) {
	l, err := openLab(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.say("%s", machine())
	for _, b := range chosen {
		l.say("\n%s (%s)", b.name, b.about)
		if err := b.run(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return nil
}
