package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// lab is what the benchmarks of a run share: a folder, the built binary and the
// certificates.
type lab struct {
	options
	out    io.Writer
	dir    string
	binary string
	pki    *pki
}

func openLab(ctx context.Context, o options, out io.Writer) (*lab, error) {
	dir, err := os.MkdirTemp("", "dps-bench-*")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	l := &lab{options: o.withDefaults(), out: out, dir: dir, binary: filepath.Join(dir, "dps")}
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if l.pki, err = newPKI(dir); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// build makes the binary, unless one is given.
func (l *lab) build(ctx context.Context) error {
	if l.options.binary != "" {
		l.binary = l.options.binary
		return nil
	}
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", l.binary, "github.com/zerotouch-dps/dps/cmd/dps")
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build dps: %w\n%s", err, text)
	}
	return nil
}

func (o options) withDefaults() options {
	rounds, devices := 7, 1500
	if o.quick {
		rounds, devices = 3, 400
	}
	if o.rounds <= 0 {
		o.rounds = rounds
	}
	if o.devices <= 0 {
		o.devices = devices
	}
	return o
}

func (l *lab) say(format string, args ...any) { _, _ = fmt.Fprintf(l.out, format+"\n", args...) }

func (l *lab) close() error {
	if l.keep {
		l.say("kept %s", l.dir)
		return nil
	}
	return os.RemoveAll(l.dir)
}

// folder makes a fresh folder inside the lab's.
func (l *lab) folder(name string) (string, error) {
	dir, err := os.MkdirTemp(l.dir, name+"-*")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	return dir, nil
}

// process is a child whose cost is measured.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// stopTime is how long a child may take to end by itself.
const stopTime = 10 * time.Second

// start runs a program with its output in a file; the end of ctx ends it.
func (l *lab) start(ctx context.Context, name, program string, args ...string) (*process, error) {
	log, err := os.CreateTemp(l.dir, name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the child has its own handle
	p := &process{name: name, cmd: exec.CommandContext(ctx, program, args...), log: log.Name(), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopTime
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in the log
		close(p.exited)
	}()
	return p, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it has ended already if this fails
	select {
	case <-p.exited:
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func (p *process) cpu() (float64, error) { return cpuSeconds(p.cmd.Process.Pid) }

// await returns when ready says so, and fails when the child ends first.
func (p *process) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready() {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("%s ended before it was ready: %s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.name, ctx.Err(), p.tail())
		}
	}
}

func (p *process) tail() string {
	const most = 4 << 10
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// accepts reports whether something listens there.
func accepts(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = conn.Close() // only that it opened counts
	}
	return err == nil
}

// freeAddress returns an address that nothing listens on.
func freeAddress(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
