// Package events kills the replicas of the service while devices register, and looks
// whether each lifecycle event reaches its hook and whoever follows the stream: none lost,
// those of a device in their order.
package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// How hard a run is; seed decides who does what, not the order of events.
var (
	seed     = flag.Uint64("seed", 1, "seed of the dice")
	fleet    = flag.Int("devices", 40, "devices of a run")
	duration = flag.Duration("duration", 25*time.Second, "how long processes are killed")
)

// patience is how long things may take to settle: longer than every pause of a hook.
const patience = 5 * time.Minute

var cluster testpg.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// TestReplicasDie kills two replicas again and again.
func TestReplicasDie(t *testing.T) {
	w := newWorld(t, cluster.Database(t))
	w.survive(6, w.reapReplicas)
}

// TestDatabaseDies has the database of two replicas crash, and start again.
func TestDatabaseDies(t *testing.T) {
	pg, err := testpg.Start(t.Context(), testpg.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, pg.URL)
	w.survive(2, func(ctx context.Context) { w.reapDatabase(ctx, pg) })
}

// survive has devices register while something dies so often at least, and checks.
func (w *world) survive(least int64, reap func(ctx context.Context)) {
	w.Helper()
	t := w.T
	for _, r := range w.replicas {
		w.need(r.start())
	}
	_, err := w.admin(0).PutHook(t.Context(), scopeID, "hook", admin.Hook{
		URL: &w.receiver.url, Secret: new(secret), TrustedCertificates: new(w.root.PEM()),
	})
	w.need(err)
	reader := w.follow()
	answers := w.storm(least, reap)
	w.receiver.behave()
	all := w.settle()
	t.Logf("%d events, %d answers, %d kills; the receiver failed %d times and was told %d events again",
		len(all), len(answers), w.kills.Load(), w.receiver.faults, w.receiver.repeats)
	if w.kills.Load() < least || w.receiver.faults == 0 {
		t.Error("too little went wrong: the run proves little")
	}
	w.check(all, answers, reader.end(len(all)))
}

// storm has devices register while something dies, where that takes long until it has died
// so often. It returns the operations that devices were told to have ended assigned.
func (w *world) storm(least int64, reap func(ctx context.Context)) (answers []string) {
	ctx, stop := context.WithTimeout(w.Context(), 10**duration)
	defer stop()
	time.AfterFunc(*duration, func() {
		for w.kills.Load() < least && ctx.Err() == nil {
			pause(100 * time.Millisecond)
		}
		stop()
	})
	var mu sync.Mutex
	var actors sync.WaitGroup
	actors.Go(func() { reap(ctx) })
	for n := range *fleet {
		actors.Go(func() {
			ended := w.live(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, ended...)
		})
	}
	pause(*duration / 2)
	w.moveAll()
	actors.Wait()
	return answers
}

// moveAll has all devices move that are not in the second hub.
func (w *world) moveAll() {
	w.Helper()
	for deadline := time.Now().Add(patience); ; pause(100 * time.Millisecond) {
		s, err := w.tryStore(false)
		if err == nil {
			err = errors.Join(w.tryGroup(s, w.hubs[1]), s.Close())
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) { // the database has been back for long
			w.Fatal(err)
		}
	}
}

func (w *world) reapReplicas(ctx context.Context) {
	var reapers sync.WaitGroup
	for n := range w.replicas {
		reapers.Go(func() { w.reap(ctx, n) })
	}
	reapers.Wait()
}

// reapDatabase crashes the database again and again, and leaves it running.
func (w *world) reapDatabase(ctx context.Context, pg *testpg.Server) {
	rng := mathrand.New(mathrand.NewPCG(*seed, 99))
	for {
		timer := time.NewTimer(time.Duration(4000+rng.IntN(3000)) * time.Millisecond)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := pg.Kill()
		pause(time.Duration(rng.IntN(1000)) * time.Millisecond)
		if err = errors.Join(err, pg.Restart(w.Context())); err != nil {
			w.Error(err)
			return
		}
		w.kills.Add(1)
	}
}

// reap kills one replica again and again, and leaves it running.
func (w *world) reap(ctx context.Context, n int) {
	rng := mathrand.New(mathrand.NewPCG(*seed, uint64(100+n)))
	for {
		timer := time.NewTimer(time.Duration(500+rng.IntN(4000)) * time.Millisecond)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.replicas[n].kill()
		w.kills.Add(1)
		if err := w.replicas[n].start(); err != nil {
			w.Error(err)
			return
		}
	}
}

// live has a device register again and again.
func (w *world) live(ctx context.Context, n int) (ended []string) {
	rng := mathrand.New(mathrand.NewPCG(*seed, uint64(200+n)))
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		got, err := w.register(try, fmt.Sprintf("dev-%03d", n), rng.IntN(len(w.replicas)))
		cancel()
		if err == nil && got.Status == "assigned" {
			ended = append(ended, got.OperationID)
		}
		pause(time.Duration(rng.IntN(1200)) * time.Millisecond)
	}
	return ended
}

// follower reads the stream from whichever replica lives.
type follower struct {
	stop context.CancelFunc
	done chan struct{}

	mu  sync.Mutex
	got []string
}

func (w *world) follow() *follower {
	ctx, stop := context.WithCancel(w.Context())
	f := &follower{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		o := client.EventOptions{Follow: true}
		for n := 0; ctx.Err() == nil; n++ {
			_ = w.admin(n%len(w.replicas)).Events(ctx, scopeID, &o, func(line []byte) error { // it was killed
				var e told
				if err := json.Unmarshal(line, &e); err != nil {
					return err
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				f.got = append(f.got, e.ID)
				return nil
			})
			pause(50 * time.Millisecond)
		}
	}()
	return f
}

// end waits until so many were read, and returns them.
func (f *follower) end(want int) []string {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(50 * time.Millisecond) {
		f.mu.Lock()
		n := len(f.got)
		f.mu.Unlock()
		if n >= want {
			break
		}
	}
	f.stop()
	<-f.done
	return f.got
}

// settle waits until nothing is left to do, and returns the stream.
func (w *world) settle() (all []told) {
	w.Helper()
	a, last := w.admin(0), ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(500 * time.Millisecond) {
		s, err := a.State(w.Context())
		if err != nil || s.Hooks == nil || len(*s.Hooks) != 1 {
			last = fmt.Sprint("the state can't be read: ", err)
			continue
		}
		d := (*s.Hooks)[0].Delivery
		last = fmt.Sprintf("%d operations, %d removals, backlog %d, last error %q", s.Operations.Value, s.Removals.Value, d.Backlog, value(d.LastError))
		if s.Operations.Value == 0 && s.Removals.Value == 0 && d.Backlog == 0 {
			all = nil
			w.need(a.Events(w.Context(), scopeID, &client.EventOptions{}, func(line []byte) error {
				var e told
				all = append(all, e)
				return json.Unmarshal(line, &all[len(all)-1])
			}))
			return all
		}
	}
	w.Fatalf("not settled: %s", last)
	return nil
}

func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// check holds what was received and read to the stream, and the stream to what devices were
// told.
func (w *world) check(all []told, answers, read []string) {
	ids, operations, order := []string{}, map[string]int{}, map[string][]string{}
	kinds := map[string]int{}
	for n, e := range all {
		if e.Cursor[len(e.Cursor)-len(fmt.Sprint(n+1)):] != fmt.Sprint(n+1) {
			w.Errorf("event %d of the stream has the cursor %s", n+1, e.Cursor)
		}
		ids = append(ids, e.ID)
		order[e.Subject] = append(order[e.Subject], e.ID)
		kinds[e.Type]++
		if e.Data.OperationID != "" {
			operations[e.Data.OperationID]++
		}
	}
	w.Logf("kinds: %v", kinds)
	for _, id := range answers {
		if operations[id] != 1 {
			w.Errorf("operation %s, of which its device was told the end, has %d events", id, operations[id])
		}
	}
	if diff := cmp.Diff(ids, read); diff != "" {
		w.Errorf("who follows has read otherwise than the stream stands (-stream +read):\n%s", diff)
	}
	received := map[string][]string{}
	for _, e := range w.receiver.taken {
		received[e.Subject] = append(received[e.Subject], e.ID)
	}
	if diff := cmp.Diff(order, received); diff != "" {
		w.Errorf("received, by device (-stream +received):\n%s", diff)
	}
	for _, kind := range []string{"registered", "reassigned", "removed"} {
		if kinds["io.dps.registration."+kind] == 0 {
			w.Errorf("nothing was %s: the run proves little", kind)
		}
	}
}
