package hubemulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/hubtest"
	"github.com/zerotouch-dps/dps/hubemulator"
)

// operator speaks plain REST to a hub, as a service SDK does.
type operator struct {
	t      testing.TB
	server *httptest.Server
	token  string
}

func newOperator(t testing.TB, h *hubemulator.Hub, server *httptest.Server) *operator {
	t.Helper()
	c, err := hub.ParseConnectionString(h.ConnectionString())
	if err != nil {
		t.Fatalf("connection string: %v", err)
	}
	return &operator{t, server, attestation.SignToken(c.HostName, c.SharedAccessKeyName, c.Key(), time.Now().Add(time.Hour))}
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// do sends a request; headers are "Name: value".
func (o *operator) do(method, path, body string, headers ...string) answer {
	o.t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.server.URL+path+separator+"api-version=2021-04-12", bytes.NewBufferString(body))
	if err != nil {
		o.t.Fatalf("make request: %v", err)
	}
	req.Header.Set("Authorization", o.token)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := o.server.Client().Do(req)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // arrays are read from text
	return a
}

func (o *operator) setEnabled(id string, enabled bool) error {
	status := "disabled"
	if enabled {
		status = "enabled"
	}
	item, err := json.Marshal([]map[string]string{{"id": id, "importMode": "Update", "status": status}})
	if err != nil {
		return err
	}
	if a := o.do("POST", "/devices", string(item)); a.body["isSuccessful"] != true {
		return fmt.Errorf("update %s: %d %s", id, a.status, a.text)
	}
	return nil
}

func wantOf(id, tags string) hub.Want {
	return hub.Want{
		DeviceID: id, Twin: hub.Twin{Tags: json.RawMessage(tags)},
		Auth: hub.Auth{Type: hub.AuthSAS, Primary: hubtest.Key(1), Secondary: hubtest.Key(2)},
	}
}

// signed makes a request for a handler that is called directly.
func signed(c hub.Connection, method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path+"?api-version=2021-04-12", strings.NewReader(body))
	r.Header.Set("Authorization", attestation.SignToken(c.HostName, c.SharedAccessKeyName, c.Key(), time.Now().Add(time.Hour)))
	return r
}

// read gets a path as JSON.
func (o *operator) read(path string, into any) {
	o.t.Helper()
	if a := o.do("GET", path, ""); a.status != 200 || json.Unmarshal([]byte(a.text), into) != nil {
		o.t.Fatalf("GET %s: %d %s", path, a.status, a.text)
	}
}
