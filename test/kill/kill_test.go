// Package kill kills the service at many points of many registrations and looks
// whether each device ends in exactly one hub.
package kill_test

import (
	"context"
	"flag"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/scope"
)

// How hard a run is; seed decides who does what, not the order of events.
var (
	seed     = flag.Uint64("seed", 1, "seed of the dice")
	fleet    = flag.Int("devices", 300, "devices of a run")
	duration = flag.Duration("duration", 45*time.Second, "how long processes are killed")
	// patience is longer than every backoff of the service; a busy run needs more, for what
	// waits behind a removal is last in a hub's queue.
	patience = flag.Duration("patience", 5*time.Minute, "how long a device or an operator goes on trying")
	episodes = flag.Int("episodes", 1, "how eventful lives are: this many times")
)

// calmAfter is how long hubs go on failing when nobody is killed any more.
const calmAfter = 20 * time.Second

var cluster testpg.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// TestSQLite kills the one process of an embedded deployment.
func TestSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	w := newWorld(t, "sqlite:"+path, 1, scope.DisableIdentity)
	w.open = func() *database { return openDatabase(t, "sqlite", path) }
	w.run(t)
}

// TestPostgres kills and halts two replicas on one database.
func TestPostgres(t *testing.T) {
	url := cluster.Database(t)
	w := newWorld(t, url, 2, scope.RemoveIdentity)
	w.open = func() *database { return openDatabase(t, "pgx", url) }
	w.run(t)
}

// world is one deployment with its hubs and devices.
type world struct {
	root     *testpki.Entity
	hubs     []*badHub
	replicas []*replica
	open     func() *database
	scope    *tenant
	owner    *owner
	strikes  *strikes
	counts   counts
	// whenRevoked says what becomes of the identities of disabled devices.
	whenRevoked scope.WhenRevoked
}

// counts are what happened, for the report.
type counts struct{ kills, halts, moves, registrations, tries, conflicts, broken atomic.Int64 }

func newWorld(t *testing.T, store string, replicas int, whenRevoked scope.WhenRevoked) *world {
	t.Helper()
	w := &world{whenRevoked: whenRevoked, root: must(testpki.Root("kill root", time.Now()))(t)}
	for i, name := range []string{"hub-a.kill.example", "hub-b.kill.example", "hub-cc.kill.example"} {
		w.hubs = append(w.hubs, openHub(t, name, w.root, *seed+uint64(i)))
	}
	f, binary := makeFiles(t, w.root), build(t)
	for n := range replicas {
		w.replicas = append(w.replicas, newReplica(t, binary, store, f, n))
	}
	w.strikes = &strikes{replicas: w.replicas, rng: dice(4, 0), done: map[string]int{}}
	for _, h := range w.hubs {
		h.strikes = w.strikes
	}
	w.owner = openOwner(t, w.hubs[0].name)
	w.scope = prepare(t, w, store, f)
	return w
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "dps")
	c := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/dps")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// run boots the fleet while processes die, lets things settle, and checks.
func (w *world) run(t *testing.T) {
	t.Logf("seed %d, %d devices, %s", *seed, *fleet, *duration)
	began := time.Now()
	for _, r := range w.replicas {
		need(t, r.start())
	}
	db := w.open()
	devices := w.boot(t)
	w.behave()
	w.settle(t, db)
	w.check(t, db, devices)
	c := &w.counts
	w.strikes.report(t)
	t.Logf("%d moves, %d registrations in %d tries (%d conflicts, %d broken connections), %d kills, %d halts, %s",
		c.moves.Load(), c.registrations.Load(), c.tries.Load(), c.conflicts.Load(), c.broken.Load(), c.kills.Load(), c.halts.Load(),
		time.Since(began).Round(time.Second))
	if c.kills.Load() < leastKills() {
		t.Errorf("only %d kills, want at least %d: the run proves little", c.kills.Load(), leastKills())
	}
}

// boot lets every device live its life while the reapers are about, and returns when
// all lives are over.
func (w *world) boot(t *testing.T) []*life {
	t.Helper()
	ctx, stop := w.storm(t.Context())
	defer stop()
	var reapers, living sync.WaitGroup
	for i, r := range w.replicas {
		reapers.Go(func() { w.reap(ctx, t, r, dice(1, i)) })
	}
	devices := make([]*life, *fleet)
	for i := range devices {
		devices[i] = w.newLife(t, i)
	}
	for _, d := range devices {
		living.Go(func() { d.live(t) })
	}
	reapers.Wait()
	// Hubs that fail for ever would starve the last devices where the machine is slow.
	calm := time.AfterFunc(calmAfter, w.behave)
	defer calm.Stop()
	living.Wait()
	return devices
}

// leastKills is how many a run must see.
func leastKills() int64 { return int64(*duration / (3 * time.Second)) }

// storm lasts as long as processes are to be killed: where starting them takes long, until
// enough were.
func (w *world) storm(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithTimeout(ctx, 10**duration)
	time.AfterFunc(*duration, func() {
		for w.counts.kills.Load() < leastKills() && ctx.Err() == nil {
			sleep(100 * time.Millisecond)
		}
		stop()
	})
	return ctx, stop
}

// dice returns a generator for one actor.
func dice(kind, n int) *mathrand.Rand {
	return mathrand.New(mathrand.NewPCG(*seed, uint64(kind)<<32|uint64(n)))
}

// behave ends the faults of hubs and webhook.
func (w *world) behave() {
	for _, h := range w.hubs {
		h.behave()
	}
	w.owner.behave()
}

// reap kills and halts one replica again and again, starts it when it was struck, and
// leaves it running.
func (w *world) reap(ctx context.Context, t *testing.T, r *replica, rng *mathrand.Rand) {
	defer func() {
		w.strikes.stop()
		select {
		case <-r.struck:
			need(t, r.start())
		default:
		}
	}()
	for ctx.Err() == nil {
		pause := time.NewTimer(time.Duration(50+rng.IntN(800)) * time.Millisecond)
		select {
		case <-r.struck:
		case <-pause.C:
			if rng.IntN(6) == 0 {
				w.counts.halts.Add(1)
				r.halt(lease + time.Duration(rng.IntN(1500))*time.Millisecond)
				continue
			}
			if !r.strike(0) {
				continue // struck this very moment
			}
			<-r.struck
		}
		w.counts.kills.Add(1)
		sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		if err := r.start(); err != nil {
			t.Errorf("start again: %v", err)
			return
		}
	}
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must(e *testpki.Entity, err error) func(*testing.T) *testpki.Entity {
	return func(t *testing.T) *testpki.Entity {
		t.Helper()
		need(t, err)
		return e
	}
}
