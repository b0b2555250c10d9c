package azureiot_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/hub/hubtest"
)

const hostName = "example.com" // a name in httptest's certificate

// step is an expected request and its answer.
type step struct {
	want   string // "PUT /devices/a", with the escaped path
	match  string // If-Match
	status int
	header map[string]string
	body   string
}

// script is a hub that plays steps in order.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	steps []step
	sent  []string      // bodies
	seen  []http.Header // of requests
	hosts []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := r.Method + " " + r.URL.EscapedPath()
	if len(s.steps) == 0 {
		s.t.Errorf("unexpected %s", got)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if got != next.want || r.Header.Get("If-Match") != next.match {
		s.t.Errorf("request %s, If-Match %q; want %s, %q", got, r.Header.Get("If-Match"), next.want, next.match)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("read body: %v", err)
	}
	s.sent, s.seen, s.hosts = append(s.sent, string(body)), append(s.seen, r.Header), append(s.hosts, r.Host)
	for name, value := range next.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body) // the client has gone if this fails
}

// play starts a scripted hub and an adapter for it; unplayed steps fail the test.
func play(t *testing.T, steps ...step) (*azureiot.Registry, *script) {
	t.Helper()
	s := &script{t: t, steps: steps}
	server := httptest.NewTLSServer(s)
	r, err := azureiot.New(azureiot.Config{Link: linkTo(server), Now: time.Now})
	if err != nil {
		t.Fatalf("make adapter: %v", err)
	}
	t.Cleanup(func() {
		_ = r.Close()
		server.Close()
		if len(s.steps) > 0 {
			t.Errorf("never asked for %+v", s.steps)
		}
	})
	return r, s
}

func linkTo(server *httptest.Server) hub.Linked {
	return hub.Linked{
		HostName: hostName, Kind: hub.KindAzureIoT, DialAddress: server.Listener.Addr().String(),
		ConnectionString: dps.NewSecret("HostName=" + hostName + ";SharedAccessKeyName=owner;SharedAccessKey=" + hubtest.Key(9).Reveal()),
		TrustedCAs:       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		AllocationWeight: 1,
	}
}

func sas(n int) hub.Auth {
	return hub.Auth{Type: hub.AuthSAS, Primary: hubtest.Key(n), Secondary: hubtest.Key(n)}
}

// deviceJSON is a device as a hub answers it, with members that dps does not know.
func deviceJSON(etag string, n int) string {
	key := hubtest.Key(n).Reveal()
	return `{"deviceId":"a","generationId":"g1","etag":"` + etag + `","status":"disabled","statusReason":"stolen","novel":{"x":[1]},` +
		`"authentication":{"symmetricKey":{"primaryKey":"` + key + `","secondaryKey":"` + key + `"},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"},` +
		`"capabilities":{"iotEdge":false},"deviceScope":"ms-azure-iot-edge://up"}`
}

const (
	existsBody   = `{"Message":"ErrorCode:DeviceAlreadyExists;A device with ID 'a' is already registered.","ExceptionMessage":"Tracking ID:x"}`
	staleBody    = `{"Message":"ErrorCode:PreconditionFailed;Precondition failed"}`
	notFoundBody = `{"Message":"ErrorCode:DeviceNotFound;E2"}`
)
