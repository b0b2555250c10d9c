package endpoint_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/registration"
)

// noting is a registrar that only takes note.
type noting struct {
	endpoint.Registrar
	noted []registration.Request
	why   []error
}

func (n *noting) Refused(r *registration.Request, why error) {
	n.noted, n.why = append(n.noted, *r), append(n.why, why)
}

// TestTurnedAway: whoever is refused before the registrar can be asked is noted too, as far
// as the device said who it is.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	many := make([]*x509.Certificate, attestation.MaxChainLength+1)
	for i := range many {
		many[i] = &x509.Certificate{}
	}
	for name, tt := range map[string]struct {
		id, token, body string
		tls             *tls.ConnectionState
		reason          string // empty: not noted
		kind            attestation.Kind
	}{
		"nothing shown":     {"dev-1", "", "", nil, "no credential", ""},
		"malformed token":   {"dev-1", "Bearer x", "", nil, "not a SharedAccessSignature", attestation.KindSymmetricKey},
		"nine certificates": {"dev-1", "", "", &tls.ConnectionState{PeerCertificates: many}, "presents 9 certificates", attestation.KindX509},
		"malformed body":    {"dev-1", "", "[]", nil, "", ""},
		"no ID":             {"dev 1", "", "", nil, "", ""},
	} {
		r := &noting{}
		c := &endpoint.Conversation{Registrar: r, Observer: uncounted{}, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
		c.Answer(t.Context(), endpoint.Peer{Transport: "https", Addr: "192.0.2.1:443", TLS: tt.tls}, endpoint.OpRegister, func(_ context.Context, e *endpoint.Exchange) error {
			if err := e.Identify("0ne1", tt.id, "2021-06-01"); err != nil {
				return err
			}
			return e.Prove([]byte(tt.body), tt.token)
		})
		if tt.reason == "" {
			if len(r.noted) > 0 {
				t.Errorf("%s: noted %v", name, r.why)
			}
			continue
		}
		if len(r.noted) != 1 || !strings.Contains(r.why[0].Error(), tt.reason) {
			t.Errorf("%s: noted %v, want %q", name, r.why, tt.reason)
			continue
		}
		q, kind := r.noted[0], attestation.Kind("")
		if q.Evidence != nil {
			kind = q.Evidence.Kind()
		}
		if q.ID != "dev-1" || q.Transport != "https" || q.Origin.Addr.String() != "192.0.2.1" || kind != tt.kind {
			t.Errorf("%s: noted %+v", name, q)
		}
	}
}
