package attack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

// TestResumedAfterDisabling: a session that is resumed shows the certificate of the first
// handshake, and what holds of it now. Of one that was deleted, see TestResumedCertificate
// of server/dev.
func TestResumedAfterDisabling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pinned, grouped := w.made(testpki.SelfSigned("pinned", w.now)), w.made(w.root.Leaf("grouped", w.now))
	w.pin("pinned", pinned, true)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		device, member := w.resuming(version, pinned), w.resuming(version, grouped)
		for id, one := range map[string]*http.Client{"pinned": device, "grouped": member} {
			if got, _ := w.ask(one, id); got != http.StatusAccepted {
				t.Fatalf("%s: status %d", id, got)
			}
		}
		w.pin("pinned", pinned, false, client.IfMatch("*"))
		w.upload("factory", w.double, true) // other bytes under its name
		if got, resumed := w.ask(device, "pinned"); !resumed || got != http.StatusAccepted {
			t.Errorf("disabled: resumed %t, status %d; want a resumed session, and to be told that it is disabled", resumed, got)
		}
		r, err := w.d.Admin.Registration(t.Context(), w.d.Ready.IDScope, "pinned")
		if err != nil || r.Status != "disabled" {
			t.Errorf("disabled: the record says %v, %v", r.Status, err)
		}
		if got, resumed := w.ask(member, "grouped"); !resumed || got != http.StatusUnauthorized {
			t.Errorf("CA certificate taken away: resumed %t, status %d; want a resumed session and 401", resumed, got)
		}
		w.pin("pinned", pinned, true, client.IfMatch("*"))
		w.upload("factory", w.root, true)
	}
}

// resuming is a device that keeps session tickets, and no connection.
func (w *world) resuming(version uint16, e *testpki.Entity) *http.Client {
	config := w.d.TLS()
	config.MinVersion, config.MaxVersion = version, version
	config.Certificates = []tls.Certificate{e.TLS(0)}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func (w *world) ask(one *http.Client, id string) (status int, resumed bool) {
	w.t.Helper()
	url := "https://" + w.d.Address() + "/" + w.d.Ready.IDScope + "/registrations/" + id + "/register?api-version=2021-06-01"
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, url, strings.NewReader("{}"))
	w.need(err)
	reply, err := one.Do(req)
	w.need(err)
	var body bytes.Buffer
	_, err = body.ReadFrom(reply.Body) // tickets come with the answer
	w.need(err)
	w.need(reply.Body.Close())
	return reply.StatusCode, reply.TLS.DidResume
}

// TestNoRenegotiation: TLS 1.2's renegotiation, by which another certificate could be
// shown on a connection that was judged, is refused.
func TestNoRenegotiation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	openssl := exec.CommandContext(ctx, "openssl", "s_client", "-connect", w.d.Address(), "-tls1_2", "-CAfile", w.d.Ready.CAFile)
	openssl.Stdin = strings.NewReader("R\n") // s_client's command to renegotiate
	out, err := openssl.CombinedOutput()
	if _, after, tried := bytes.Cut(out, []byte("RENEGOTIATING")); !tried || !bytes.Contains(after, []byte("SSL alert number")) {
		t.Errorf("openssl ends with %v and says\n%s", err, out)
	}
}
