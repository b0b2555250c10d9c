package attack_test

import (
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// TestExplained: an operator who asks about a device that was turned away is told which
// check failed, on which certificate, which group it could have meant, and what to do; by
// its ID alone as well as with its certificates.
func TestExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := w.made(w.double.Leaf("sn-1", w.now))
	w.register("sn-1", chain(leaf, 0))
	w.reasons("sn-1")
	id, text := "sn-1", leaf.PEM()
	for name, in := range map[string]admin.ExplainRequest{"by its ID": {RegistrationID: &id}, "with its certificate": {CertificateChain: &text}} {
		e, err := w.d.Admin.Explain(t.Context(), w.d.Ready.IDScope, in)
		w.need(err)
		if e.Refusals == nil || len(*e.Refusals) != 1 {
			t.Fatalf("%s: refusals %v, want the one", name, e.Refusals)
		}
		last := (*e.Refusals)[0]
		if !strings.Contains(last.Reason, `certificate "CN=sn-1" was not signed by CA certificate "CN=factory"`) || last.Advice == nil || last.Thumbprint == nil {
			t.Errorf("%s: the last refusal reads %+v", name, last)
		}
		if e.Advice == nil || !strings.Contains(*e.Advice, "compare thumbprints") {
			t.Errorf("%s: advice %v", name, e.Advice)
		}
		if near := e.Nearest != nil && *(*e.Nearest)[0].Enrollment.Group == "line"; near != (in.CertificateChain != nil) {
			t.Errorf("%s: nearest %+v", name, e.Nearest)
		}
	}
	good := w.made(w.root.Leaf("sn-2", w.now)).PEM()
	e, err := w.d.Admin.Explain(t.Context(), w.d.Ready.IDScope, admin.ExplainRequest{CertificateChain: &good})
	w.need(err)
	if e.Outcome != "assigned" || e.Advice != nil || e.Nearest != nil || e.Refusals != nil {
		t.Errorf("of a good device: %+v", e)
	}
	self := w.made(testpki.SelfSigned("sn-2", w.now)).PEM()
	w.key("other-name", deviceKey)
	other := "other_name"
	e, err = w.d.Admin.Explain(t.Context(), w.d.Ready.IDScope, admin.ExplainRequest{CertificateChain: &self, RegistrationID: &other})
	w.need(err)
	if e.Nearest == nil || *(*e.Nearest)[0].Enrollment.Individual != "other-name" {
		t.Errorf("of a misspelled ID: nearest %+v", e.Nearest)
	}
}
