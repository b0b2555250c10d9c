package rest_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"testing"

	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
	"github.com/zerotouch-dps/dps/endpoint/rest"
)

// TestConversation plays the conversation of all transports over HTTPS.
func TestConversation(t *testing.T) {
	t.Parallel()
	endpointtest.Run(t, endpointtest.Transport{Name: "https", Serve: serveHTTPS, Dial: dialHTTPS, Challenge: challenge})
}

func serveHTTPS(t *testing.T, w *endpointtest.World) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: rest.New(w.Conversation), TLSConfig: w.ServerTLS}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l.Addr().String()
}

type line struct {
	t       *testing.T
	address string
	device  endpointtest.Device
	client  *http.Client
}

func dialHTTPS(t *testing.T, address string, d endpointtest.Device) endpointtest.Line {
	return &line{t, address, d, &http.Client{Transport: &http.Transport{TLSClientConfig: d.TLS}}}
}

func (l *line) Close() { l.client.CloseIdleConnections() }

func (l *line) Ask(operation, body string) (a endpointtest.Answer) {
	l.t.Helper()
	method, path := http.MethodPut, "register"
	if operation != "" {
		method, path = http.MethodGet, "operations/"+operation
	}
	reply := l.send(method, path, body)
	defer reply.Body.Close()
	raw, err := httputil.DumpResponse(reply, true)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.NewDecoder(reply.Body).Decode(&a.Body); err != nil {
		l.t.Fatal(err)
	}
	a.Status, a.Raw = reply.StatusCode, string(raw)
	a.RetryAfter, _ = strconv.Atoi(reply.Header.Get("Retry-After"))
	return a
}

func (l *line) send(method, path, body string) *http.Response {
	l.t.Helper()
	url := "https://" + l.address + "/" + l.device.Scope + "/registrations/" + l.device.ID + "/" + path + "?api-version=2021-06-01"
	req, err := http.NewRequestWithContext(l.t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		l.t.Fatal(err)
	}
	if l.device.Token != "" {
		req.Header.Set("Authorization", l.device.Token)
	}
	reply, err := l.client.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	return reply
}
