package testpg_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps/internal/testpg"
)

func TestServerLifeCycle(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := testpg.Start(ctx, testpg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Database(ctx, "one", "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	if err := conn.QueryRow(ctx, "select sum(n) from generate_series(1, 1000000) n").Scan(&sum); err != nil {
		t.Fatal(err)
	}
	if used, err := s.CPUSeconds(); err != nil || used <= 0 {
		t.Errorf("processor time %v, %v", used, err)
	}
	if err := s.Drop(ctx, "one"); err != nil {
		t.Error(err)
	}
	pid := s.Pid()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !os.IsNotExist(err) && err != syscall.ESRCH {
		t.Errorf("postmaster %d is still there: %v", pid, err)
	}
}
