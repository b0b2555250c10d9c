// Package attack_test holds the table of attacks on the device endpoint, played with TLS
// clients against a whole deployment. Each is refused, the device is told nothing more
// than that, no record is kept, and the operator can read which check failed.
//
// What other tests hold is not repeated: which of two entries decides (registration,
// TestWhichEnrollmentDecides and TestRefusals), TPMs (registration, TestTPM…; attestation,
// TestTPM…; endpointtest, "TPM refused"), keys of groups by prefix (registration,
// TestKeyGroupsByPrefix).
package attack_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// attack is one row.
type attack struct {
	name string
	play func(id string) shown
	// reason is a part of what the operator reads; {id} stands for the ID.
	reason string
	// admitted tells that the row is no attack, but what looks like one and must go on
	// working.
	admitted bool
	// status and code, unless 401 and 401002; handshake: HTTP itself refuses.
	status, code int
	handshake    bool
}

// TestAttacks plays the table.
func TestAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rows := slices.Concat(certificates(w), names(w), tokens(w))
	for i, row := range rows {
		id := fmt.Sprintf("attack-i-%03d", i)
		w.play(row, id)
	}
	for i, row := range rows { // refusals are written once a second
		if id := fmt.Sprintf("attack-i-%03d", i); row.reason != "" && !row.admitted {
			got, want := w.reasons(id), strings.ReplaceAll(row.reason, "{id}", id)
			if !strings.Contains(got, want) {
				t.Errorf("%s: the operator reads %q, want %q", row.name, got, want)
			}
			if attestation.Advise(got) == "" {
				t.Errorf("%s: the operator is not advised what to do about %q", row.name, got)
			}
		}
	}
}

func (w *world) play(row attack, id string) {
	w.t.Helper()
	s := row.play(id)
	got := w.register(id, s)
	if row.handshake {
		if got.handshake == nil && got.Status < 400 {
			w.t.Errorf("%s: answers %+v", row.name, got)
		}
		return
	}
	want := told{Status: http.StatusUnauthorized, ErrorCode: 401002}
	switch {
	case row.admitted:
		want = told{Status: http.StatusAccepted, Registration: "assigned"}
	case row.status != 0:
		want = told{Status: row.status, ErrorCode: row.code}
	}
	if got != want {
		w.t.Errorf("%s: answers %+v, want %+v", row.name, got, want)
	}
	if row.admitted {
		return
	}
	_, err := w.d.Admin.Registration(w.t.Context(), w.d.Ready.IDScope, id)
	if missing, ok := errors.AsType[*client.Error](err); !ok || missing.Status != http.StatusNotFound {
		w.t.Errorf("%s: a record is kept (%v)", row.name, err)
	}
	if s.chain == nil || s.path != "" || s.token != "" {
		return
	}
	for _, transport := range []device.Transport{device.MQTT, device.AMQP} {
		if got := w.over(transport, id, s); got != http.StatusUnauthorized {
			w.t.Errorf("%s: over %s it is told %d", row.name, transport, got)
		}
	}
}
