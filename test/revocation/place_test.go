package revocation_test

import (
	"crypto/rand"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// place is where a CA publishes what it revoked: a list, and a responder.
type place struct {
	t  *testing.T
	ca *testpki.Entity
	at *httptest.Server

	mu      sync.Mutex
	number  int64
	revoked []x509.RevocationListEntry
	down    bool
}

func newPlace(t *testing.T, ca *testpki.Entity) *place {
	t.Helper()
	p := &place{t: t, ca: ca}
	p.at = httptest.NewServer(p)
	t.Cleanup(p.at.Close)
	return p
}

func (p *place) revoke(cert *x509.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now(), ReasonCode: ocsp.KeyCompromise})
}

func (p *place) goDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
}

// list is the newest list, DER.
func (p *place) list() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(p.number), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: p.revoked,
	}, p.ca.Cert, p.ca.Key)
	if err != nil {
		p.t.Error(err)
	}
	return der
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	switch {
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case r.Method == http.MethodGet:
		_, _ = w.Write(p.list())
	default:
		p.respond(w, r)
	}
}

// respond is the responder (RFC 6960).
func (p *place) respond(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	asked, err := ocsp.ParseRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := ocsp.Response{Status: ocsp.Good, SerialNumber: asked.SerialNumber, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Second)}
	p.mu.Lock()
	for _, e := range p.revoked {
		if e.SerialNumber.Cmp(asked.SerialNumber) == 0 {
			answer.Status, answer.RevokedAt, answer.RevocationReason = ocsp.Revoked, e.RevocationTime, e.ReasonCode
		}
	}
	p.mu.Unlock()
	der, err := ocsp.CreateResponse(p.ca.Cert, p.ca.Cert, answer, p.ca.Key)
	if err != nil {
		p.t.Error(err)
	}
	_, _ = w.Write(der)
}
