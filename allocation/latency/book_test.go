package latency_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
)

// shelf is a store in memory that counts.
type shelf struct {
	mu            sync.Mutex
	votes         []latency.Vote
	matrix        []latency.Measure
	reads, writes int
	broken        error
}

func (s *shelf) Scopes(context.Context) ([]dps.IDScope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.matrix) > 0 {
		return []dps.IDScope{zone}, s.broken
	}
	return nil, s.broken
}

func (s *shelf) Votes(context.Context, dps.IDScope) ([]latency.Vote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.votes, s.broken
}

func (s *shelf) PutVotes(_ context.Context, _ dps.IDScope, votes []latency.Vote, _ int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.broken == nil {
		s.votes = append(s.votes, votes...)
	}
	return s.broken
}

func (s *shelf) ClearVotes(context.Context, dps.IDScope, string) (int64, error) { return 0, nil }

func (s *shelf) Matrix(context.Context, dps.IDScope) ([]latency.Measure, error) {
	return s.matrix, nil
}

func (s *shelf) PutMatrix(context.Context, dps.IDScope, []latency.Measure) error { return nil }

func (s *shelf) count() (votes, reads, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.votes), s.reads, s.writes
}

// running is an estimator that runs until the test's bubble ends.
func running(t *testing.T, s *shelf, failed func(error)) (e *latency.Estimator, stop func()) {
	t.Helper()
	e = latency.New(latency.Config{GeoIP: database(), Store: s, Now: time.Now, Failed: failed})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	synctest.Wait()
	return e, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func report(e *latency.Estimator, device, payload string) {
	_, r := e.Consider(zone, e.Survey(hubs(), nil), netip.MustParseAddr("192.0.2.1"), json.RawMessage(payload))
	e.Cast(zone, dps.RegistrationID(device), r)
}

// flushEvery is how often votes are written.
const flushEvery = time.Second

const far = `{"dps":{"latency":{"amsterdam.example":300}}}`

// TestBook: votes are written together soon, known after a refresh, and a scope that
// nobody asks for is not read.
func TestBook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		e, stop := running(t, s, func(err error) { t.Error(err) })
		defer stop()
		time.Sleep(time.Hour + flushEvery/2) // between two flushes
		if votes, reads, writes := s.count(); votes+reads+writes != 0 {
			t.Errorf("nobody asked: %d votes, %d reads, %d writes", votes, reads, writes)
		}
		for i := range 3 * latency.MaxVoters {
			report(e, fmt.Sprint("dev-", i), far)
			report(e, fmt.Sprint("dev-", i), far)
		}
		report(e, "quiet", `{}`)
		time.Sleep(1100 * time.Millisecond)
		if votes, _, writes := s.count(); votes != 3*latency.MaxVoters || writes != 1 {
			t.Errorf("%d votes in %d writes", votes, writes)
		}
		time.Sleep(31 * time.Second)
		if m := consider(t, e, "192.0.2.1", "").Estimates; m[0].Measured == nil && m[1].Measured == nil && m[2].Measured == nil {
			t.Errorf("not known: %+v", m)
		}
		report(e, "one-more", far) // of a day that has enough voters
		time.Sleep(2 * time.Second)
		if votes, _, _ := s.count(); votes != 3*latency.MaxVoters {
			t.Errorf("%d votes", votes)
		}
	})
}

// TestBookAtTheEnd: what waits is written when the process ends, and what was measured is
// known from the start.
func TestBookAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{matrix: []latency.Measure{{Area: "geo/DE", Hub: "nowhere.example", MS: 1}}}
		e, stop := running(t, s, func(err error) { t.Error(err) })
		if got := order(consider(t, e, "192.0.2.1", "")); got[0] != 'n' {
			t.Errorf("the matrix is not known: %s", got)
		}
		report(e, "dev", far)
		stop()
		if votes, _, _ := s.count(); votes != 1 {
			t.Errorf("%d votes", votes)
		}
	})
}

// TestBookOfABrokenStore: devices go on by what is known, and somebody is told.
func TestBookOfABrokenStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, told := &shelf{broken: errors.New("no primary")}, 0
		e, stop := running(t, s, func(error) { told++ })
		report(e, "dev", far)
		time.Sleep(2 * time.Second)
		if got := order(consider(t, e, "192.0.2.1", "")); got != "avs" {
			t.Errorf("chosen by %s", got)
		}
		stop()
		if told < 3 { // the list, the votes, the reading
			t.Errorf("told %d times", told)
		}
	})
}
