package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
)

func batchCases() []testCase {
	return []testCase{
		{"many writers of many rows", batchMany},
		{"a bad row leaves its neighbours alone", batchBadRow},
		{"a caller that goes leaves its neighbours alone", batchCancelled},
		{"many readers beside writers", batchReaders},
	}
}

// together runs f for each index at the same time.
func together(n int, f func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Wait()
}

func deviceN(i int) dps.RegistrationID { return dps.RegistrationID(fmt.Sprintf("dev-%03d", i)) }

func batchMany(w *world) {
	const n = 300
	together(n, func(i int) {
		s := w.start(deviceN(i), "op1", "h")
		if i%5 == 0 {
			s.Removals = []registration.Removal{w.removal(deviceN(i), "old", string(deviceN(i)))}
		}
		b, err := w.tryBegin(s)
		if err != nil || !b.Won {
			w.Errorf("begin %d: %v %v", i, b.Won, err)
			return
		}
		r, won, err := w.registrations().Claim(w.ctx, b.Registration, w.now, w.after(60))
		if err != nil || !won {
			w.Errorf("claim %d: %v %v", i, won, err)
		}
		_, won, err = w.registrations().Finish(w.ctx, w.ended(r, registration.Assigned), nil)
		if err != nil || !won {
			w.Errorf("finish %d: %v %v", i, won, err)
		}
	})
	for i := range n {
		r := w.current(deviceN(i))
		w.same(string(deviceN(i)), r.Assignment.DeviceID)
		w.same(int64(2), r.Operation.Attempt)
	}
	w.same(n/5, len(w.claimRemovals(w.now)))
}

func batchBadRow(w *world) {
	w.assign("owner", "op0", "h")
	const n = 64
	together(n, func(i int) {
		s := w.start(deviceN(i), "op1", "h")
		switch i % 16 {
		case 3:
			s.Registration.Operation.Want.DeviceID = "owner"
		case 7: // more than some back ends' index entries can hold
			s.Registration.Operation.Want.DeviceID = unlikely(12_000)
		case 11:
			s.PreviousAttempt, s.Previous = 3, "never"
		}
		b, err := w.tryBegin(s)
		switch i % 16 {
		case 3:
			if !dps.Is(err, dps.DeviceIDTaken) {
				w.Errorf("begin %d of a taken identity: %v", i, err)
			}
		case 7: // whatever
		case 11:
			if err != nil || b.Won {
				w.Errorf("stale begin %d: %v %v", i, b.Won, err)
			}
		default:
			if err != nil || !b.Won {
				w.Errorf("begin %d: %v %v", i, b.Won, err)
			}
		}
	})
}

// unlikely is a text that does not compress well.
func unlikely(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		fmt.Fprintf(&b, "%x", x)
	}
	return b.String()
}

func batchCancelled(w *world) {
	const n = 64
	together(n, func(i int) {
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		if i%4 == 1 {
			cancel()
		}
		b, err := w.registrations().Begin(ctx, w.start(deviceN(i), "op1", "h"), w.now)
		if i%4 == 1 {
			if err != nil && !errors.Is(err, context.Canceled) {
				w.Errorf("cancelled begin %d: %v", i, err)
			}
			return
		}
		if err != nil || !b.Won {
			w.Errorf("begin %d: %v %v", i, b.Won, err)
		}
	})
}

func batchReaders(w *world) {
	w.putIndividual(keyIndividual(w, "dev-000"))
	group := w.putGroup(keyGroup(w, "lot", "dev-"))
	const n = 64
	together(n, func(i int) {
		if i%2 == 0 {
			if _, err := w.tryBegin(w.start(deviceN(i), "op1", "h")); err != nil {
				w.Errorf("begin %d: %v", i, err)
			}
		}
		q := registration.AdmitQuery{Scope: zone, ID: deviceN(i), Anchors: group.Anchors()}
		if i%16 == 5 {
			q.Scope = "0neNONE"
		}
		got, err := w.registrations().Admit(w.ctx, q)
		switch {
		case i%16 == 5:
			if !dps.Is(err, dps.NotFound) {
				w.Errorf("admit %d of a missing scope: %v", i, err)
			}
		case err != nil || len(got.Groups) != 1 || (got.Current != nil) != (i%2 == 0) || (got.Individual != nil) != (i == 0):
			w.Errorf("admit %d: %+v %v", i, got, err)
		case got.Current != nil && got.Current.ID != q.ID:
			w.Errorf("admit %d returned registration %q", i, got.Current.ID)
		}
	})
}
