package testpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps/internal/testserve"
)

// DSNVariable names the environment variable with the DSN of a running Postgres to
// use instead of starting one; its user must be allowed to create databases.
const DSNVariable = "DPS_TEST_POSTGRES"

// ErrNotInstalled is returned when there is no Postgres to start.
var ErrNotInstalled = errors.New("no Postgres found: install one (apt-get install postgresql) or set " + DSNVariable + " to the DSN of a running one")

// startTime is how long a server may take to answer.
const startTime = 3 * time.Minute

// Options say how the server shall run.
type Options struct {
	// Durable leaves fsync on, as a benchmark needs it. Tests don't.
	Durable bool
	// Settings are further server settings: "shared_buffers=512MB".
	Settings []string
}

// Server is a running Postgres.
type Server struct {
	// URL is the DSN of its maintenance database.
	URL string

	dir     string
	release func() // gives the address back
	command *exec.Cmd
	exited  chan struct{}
}

// Start makes a cluster in a temporary folder and starts it on a free loopback port.
// As root it runs as an unprivileged user, since Postgres refuses root. The caller
// calls Stop. Errors: [ErrNotInstalled].
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "testpg")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	s := &Server{dir: dir, release: func() {}, exited: make(chan struct{})}
	if err := s.start(ctx, bin, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, bin string, o Options) error {
	owner, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = owner, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	host, port, err := s.claim()
	if err != nil {
		return err
	}
	s.URL = fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", net.JoinHostPort(host, port))
	args := []string{"-D", data, "-h", host, "-p", port, "-k", ""} // a socket's path may be too long
	for _, setting := range append(settings(o), o.Settings...) {
		args = append(args, "-c", setting)
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the child has its own handle
	s.command = exec.Command(filepath.Join(bin, "postgres"), args...)
	s.command.SysProcAttr, s.command.Dir, s.command.Stdout, s.command.Stderr = owner, s.dir, log, log
	if err := s.launch(); err != nil {
		return err
	}
	return s.await(ctx)
}

// launch starts the command from a thread that lives as long as it does: where the
// system can end a child with its parent, it goes by the thread.
func (s *Server) launch() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := s.command.Start()
		started <- err
		if err == nil {
			_ = s.command.Wait() // how it ended is in the log
		}
		close(s.exited)
	}()
	if err := <-started; err != nil {
		s.command = nil
		return fmt.Errorf("start postgres: %w", err)
	}
	return nil
}

func settings(o Options) []string {
	out := []string{"max_connections=300", "shared_buffers=256MB", "max_wal_size=4GB"}
	if !o.Durable {
		out = append(out, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	return out
}

// await returns when the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("postgres ended: %s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w\n%s", err, s.log())
		}
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Stop ends the server at once and removes its folder.
func (s *Server) Stop() error {
	defer s.release()
	if s.command != nil {
		if err := s.command.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop postgres: %w", err)
		}
		<-s.exited
	}
	return os.RemoveAll(s.dir)
}

// Kill ends the server as a crash does (SIGQUIT, no checkpoint) and keeps its folder,
// for tests of lost connections; Stop is still to be called.
func (s *Server) Kill() error {
	if err := s.command.Process.Signal(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	<-s.exited
	return nil
}

// Restart starts a server again that was killed, on what it has on disk; only a Durable one
// has all that it committed.
func (s *Server) Restart(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the child has its own handle
	was := s.command
	s.command, s.exited = exec.Command(was.Path, was.Args[1:]...), make(chan struct{})
	s.command.SysProcAttr, s.command.Dir, s.command.Stdout, s.command.Stderr = was.SysProcAttr, was.Dir, log, log
	if err := s.launch(); err != nil {
		return err
	}
	return s.await(ctx)
}

// Pid returns the process ID of the postmaster.
func (s *Server) Pid() int { return s.command.Process.Pid }

// Database makes an empty database, or a copy of template unless that is "", and
// returns its DSN.
func (s *Server) Database(ctx context.Context, name, template string) (string, error) {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	text := "create database " + pgx.Identifier{name}.Sanitize()
	if template != "" {
		text += " template " + pgx.Identifier{template}.Sanitize()
	}
	if _, err := conn.Exec(ctx, text); err != nil {
		return "", fmt.Errorf("create database: %w", err)
	}
	return s.DatabaseURL(name)
}

// DatabaseURL returns the DSN of a database of the server.
func (s *Server) DatabaseURL(name string) (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", fmt.Errorf("%s must be a postgres:// URL: %w", DSNVariable, err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

// Drop drops a database, with whoever is connected.
func (s *Server) Drop(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	_, err = conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
	return err
}

// binaries finds the newest installed Postgres.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", fmt.Errorf("look for Postgres: %w", err)
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", ErrNotInstalled
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("look for Postgres: %w", err)
	}
	return filepath.Dir(path), nil
}

// release returns the number in /usr/lib/postgresql/15/bin/postgres.
func release(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4]) // the pattern has a part there; no number sorts first
	return n
}

// unprivileged gives dir to the user nobody when we are root, and returns how to run
// as that user; as anybody else it changes nothing.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := childAttributes()
	if os.Geteuid() != 0 {
		return attr, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("find an unprivileged user: %w", err)
	}
	uid, uerr := strconv.Atoi(nobody.Uid)
	gid, gerr := strconv.Atoi(nobody.Gid)
	if err := errors.Join(uerr, gerr, os.Chown(dir, uid, gid)); err != nil {
		return nil, fmt.Errorf("give %s to nobody: %w", dir, err)
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, nil
}

// claim finds an address that stays the server's own, restarts included.
func (s *Server) claim() (host, port string, err error) {
	if host, s.release, err = testserve.Claim(); err != nil {
		return "", "", err
	}
	address, err := testserve.FreePort(host)
	if err != nil {
		return "", "", err
	}
	return net.SplitHostPort(address)
}
