package azureiot_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/hub/hubtest"
)

func contextOf(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

func TestRequestsAreSignedAndNamed(t *testing.T) {
	t.Parallel()
	r, s := play(t, step{want: "GET /devices/a%2Fb%20%25", status: 404, body: notFoundBody})
	if _, err := r.Get(t.Context(), "a/b %"); dps.CodeOf(err) != dps.HubDeviceNotFound {
		t.Fatalf("Get: %v", err)
	}
	if s.hosts[0] != hostName {
		t.Errorf("Host %q; want the hub's, not the dialled address", s.hosts[0])
	}
	token, err := attestation.ParseSASToken(s.seen[0].Get("Authorization"))
	if err != nil {
		t.Fatalf("token: %v", err)
	}
	c, err := hub.ParseConnectionString(dps.NewSecret("HostName=h;SharedAccessKeyName=owner;SharedAccessKey=" + hubtest.Key(9).Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	path, _ := token.Path()
	if path != hostName || token.KeyName != "owner" || !token.SignedBy(c.Key()) || token.Expired(time.Now().Add(30*time.Minute)) {
		t.Errorf("token %+v; want one for the hub, good for long", token)
	}
	if _, ok := s.seen[0]["Idempotency-Key"]; ok {
		t.Error("a header for net/http went to the hub")
	}
}

func TestTokenIsRenewedEarly(t *testing.T) {
	t.Parallel()
	var tokens []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	var offset atomic.Int64
	start := time.Now()
	r, err := azureiot.New(azureiot.Config{Link: linkTo(server), Now: func() time.Time { return start.Add(time.Duration(offset.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{0, 40 * time.Minute, 50 * time.Minute} {
		offset.Store(int64(at))
		if err := r.Delete(t.Context(), "a", "e"); err != nil {
			t.Fatal(err)
		}
	}
	if tokens[0] != tokens[1] || tokens[1] == tokens[2] {
		t.Errorf("tokens %v; want the second kept, the third new", tokens)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("protocol %s; want HTTP/1.1", r.Proto)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	r, err := azureiot.New(azureiot.Config{Link: linkTo(server), Connections: 4, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 20 {
				if err := r.Delete(t.Context(), "a", "e"); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
		})
	}
	callers.Wait()
	if n := connections.Load(); n > 4 {
		t.Errorf("%d connections for 4", n)
	}
}

func TestProbeTellsWhichRightIsMissing(t *testing.T) {
	t.Parallel()
	const no = `{"Message":"ErrorCode:IotHubUnauthorized;no"}`
	r, _ := play(t,
		step{want: "GET /statistics/devices", status: 200, body: `{"totalDeviceCount":7}`},
		step{want: "DELETE /devices/dps-probe.", match: `"none"`, status: 401, body: no},
		step{want: "POST /devices/query", status: 200, body: `[]`})
	got, err := r.Probe(t.Context())
	if want := (hub.Probe{RegistryRead: true, ServiceConnect: true, Devices: 7}); err != nil || got != want {
		t.Errorf("Probe = %+v, %v; want %+v", got, err, want)
	}
}

func TestNewRefusesABadLink(t *testing.T) {
	t.Parallel()
	good := dps.NewSecret("HostName=h;SharedAccessKeyName=o;SharedAccessKey=" + hubtest.Key(1).Reveal())
	for name, link := range map[string]hub.Linked{
		"connection string": {ConnectionString: dps.NewSecret("HostName=h")},
		"roots":             {ConnectionString: good, TrustedCAs: "no PEM"},
	} {
		if _, err := azureiot.New(azureiot.Config{Link: link, Now: time.Now}); dps.CodeOf(err) != dps.InvalidArgument {
			t.Errorf("%s: %v; want an invalid argument", name, err)
		}
	}
}
