package sqlite_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

// TestCallersThatLeave: however many callers give up in the middle, at whatever point, the
// connections that they used serve the next ones.
func TestCallersThatLeave(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "dps.db"), storagetest.Ring(t))
	admit := func(ctx context.Context) error {
		_, err := s.Registrations().Admit(ctx, registration.AdmitQuery{Scope: "0neNONE", ID: "dev-1"})
		if dps.CodeOf(err) == dps.NotFound || errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 2000 {
				ctx, leave := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
				err := admit(ctx)
				leave()
				if err = errors.Join(err, admit(t.Context())); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
