package serviceapi_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

const version = "?api-version=2021-10-01"

// call is one request of a service client; zero members have the usual value.
type call struct {
	method, path string
	body         string
	ifMatch      string
	host, token  string
	header       http.Header
}

type answer struct {
	status int
	header http.Header
	text   string
}

func do(t testing.TB, w *managementtest.World, c call) answer {
	t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	if !strings.Contains(c.path, "?") {
		c.path += version
	}
	r := httptest.NewRequestWithContext(t.Context(), c.method, "https://"+managementtest.Host+c.path, body)
	if c.host != "" {
		r.Host = c.host
	}
	if c.token == "" {
		c.token = w.Token(t, managementtest.Host, managementtest.Owner)
	}
	r.Header.Set("Authorization", c.token)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if c.ifMatch != "" {
		r.Header.Set("If-Match", c.ifMatch)
	}
	maps.Copy(r.Header, c.header)
	rec := httptest.NewRecorder()
	w.Service.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// put writes and demands success.
func put(t testing.TB, w *managementtest.World, path, body, ifMatch string) map[string]any {
	t.Helper()
	a := do(t, w, call{method: "PUT", path: path, body: body, ifMatch: ifMatch})
	if a.status != http.StatusOK {
		t.Fatalf("PUT %s: %d %s", path, a.status, a.text)
	}
	return a.object(t)
}

func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.text), &out); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.text, err)
	}
	return out
}

// list reads a page, and the IDs under a member of its items.
func (a answer) list(t testing.TB, id string) (items []map[string]any, ids []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), &items); err != nil || items == nil {
		t.Fatalf("%d %q is no page: %v", a.status, a.text, err)
	}
	for _, item := range items {
		text, _ := item[id].(string)
		ids = append(ids, text)
	}
	return items, ids
}

// continuation returns the token of the next page, "" on the last, where the header
// must be absent.
func (a answer) continuation(t testing.TB) string {
	t.Helper()
	values, there := a.header["X-Ms-Continuation"]
	if there && (len(values) != 1 || values[0] == "") {
		t.Fatalf("x-ms-continuation is %q", values)
	}
	return a.header.Get("X-Ms-Continuation")
}

// errorCode returns the six digits of an error answer, 0 of any other.
func (a answer) errorCode(t testing.TB) int {
	t.Helper()
	if a.status < http.StatusBadRequest {
		return 0
	}
	code, _ := a.object(t)["errorCode"].(float64)
	return int(code)
}

// at walks members of a JSON object by name.
func at(v any, path ...string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func noCondition() enrollment.Precondition { return enrollment.Precondition{} }
