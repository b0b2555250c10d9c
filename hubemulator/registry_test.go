package hubemulator_test

import (
	"crypto/rand"
	"encoding/pem"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/hub/hubtest"
	"github.com/zerotouch-dps/dps/hubemulator"
)

const hostName = "example.com" // a name in httptest's certificate

func newConfig(dir string) hubemulator.Config {
	return hubemulator.Config{
		Dir: dir, HostName: hostName, SharedAccessKeyName: "iothubowner", SharedAccessKey: hubtest.Key(0),
		Now: time.Now, Rand: rand.Reader,
	}
}

// serve opens a hub and serves it over TLS.
func serve(t testing.TB, c hubemulator.Config) (*hubemulator.Hub, *httptest.Server) {
	t.Helper()
	h, err := hubemulator.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open hub: %v", err)
	}
	server := httptest.NewTLSServer(h.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := h.Close(); err != nil {
			t.Errorf("close hub: %v", err)
		}
	})
	return h, server
}

// dial makes an adapter for a served hub.
func dial(t testing.TB, h *hubemulator.Hub, server *httptest.Server) *azureiot.Registry {
	t.Helper()
	link := h.Link()
	link.DialAddress = server.Listener.Addr().String()
	link.TrustedCAs = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	r, err := azureiot.New(azureiot.Config{Link: link, Now: time.Now})
	if err != nil {
		t.Fatalf("make adapter: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestAdapterOverTLS(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]func(*testing.T) string{
		"in a folder": func(t *testing.T) string { return t.TempDir() },
		"in memory":   func(*testing.T) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hubtest.Run(t, func(t *testing.T) hubtest.Subject {
				h, server := serve(t, newConfig(dir(t)))
				operator := newOperator(t, h, server)
				return hubtest.Subject{Registry: dial(t, h, server), SetEnabled: operator.setEnabled}
			})
		})
	}
}

func TestCallsPerAssignment(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		twin string
		want int64
	}{
		"without twin": {"", 1},
		"with twin":    {`{"a":1}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, server := serve(t, newConfig(""))
			r := dial(t, h, server)
			want := wantOf("first", tt.twin)
			if _, err := r.Put(t.Context(), want); err != nil {
				t.Fatalf("Put: %v", err)
			}
			if got := h.Stats(); got.Calls != tt.want || got.Created != 1 {
				t.Errorf("stats %+v; want %d calls, 1 created", got, tt.want)
			}
		})
	}
}
