package serviceapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// FuzzPut demands of any body: an answer below 500 in the right shape, and of an
// accepted one, that it can be read and written back.
func FuzzPut(f *testing.F) {
	for _, body := range []string{
		sym(""), `{}`, `null`, `[]`, sym(`"iotHubs":["hub1.example"]`), sym(`"initialTwin":{"tags":{"a":[1,{"b":null}]}}`),
		attest(`{"type":"tpm","tpm":{"endorsementKey":"` + tpm2b() + `"}}`),
		attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"MII="}}}}`),
		sym(`"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"https://f.example","apiVersion":"2019-03-31"}`),
		sym(`"optionalDeviceInformation":{"a":1e999}`), sym(`"deviceId":"\u0000"`),
	} {
		f.Add("sn-1", body)
	}
	w := managementtest.Start(f)
	f.Fuzz(func(t *testing.T, id, body string) {
		if strings.ContainsAny(id, " ?#/%\\\"<>^`{|}\x7f") || !printable(id) {
			t.Skip("no path of a request line")
		}
		for _, collection := range []string{"/enrollments/", "/enrollmentGroups/"} {
			path := collection + id
			a := do(t, w, call{method: "PUT", path: path + version, body: body})
			if a.status >= http.StatusInternalServerError || !json.Valid([]byte(a.text)) {
				t.Fatalf("PUT: %d %q", a.status, a.text)
			}
			if a.status != http.StatusOK {
				continue
			}
			read := do(t, w, call{method: "GET", path: path + version})
			back := do(t, w, call{method: "PUT", path: path + version, body: read.text, ifMatch: "*"})
			if read.status != http.StatusOK || back.status != http.StatusOK {
				t.Errorf("GET %d %s, PUT %d %s", read.status, read.text, back.status, back.text)
			}
			do(t, w, call{method: "DELETE", path: path + version})
		}
	})
}

// FuzzBulk demands of any body: an answer below 500 in the right shape, and that a call
// says of each item whether it was done.
func FuzzBulk(f *testing.F) {
	for _, k := range kinds() {
		f.Add(k.body("create", k.item("a", ""), k.item("A", ""), `{}`))
		f.Add(k.body("updateIfMatchETag", k.item("a", `"etag":"\"x\""`)))
		f.Add(k.body("delete", `{"`+k.id+`":"a"}`, `{"`+k.id+`":"\u0000"}`))
		f.Add(k.body("", "null"))
	}
	f.Add(`{"mode":5,"enrollments":{}}`)
	w := managementtest.Start(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, k := range kinds() {
			a := do(t, w, call{method: "POST", path: k.path, body: body})
			if a.status >= http.StatusInternalServerError || !json.Valid([]byte(a.text)) {
				t.Fatalf("%d %q", a.status, a.text)
			}
			if a.status != http.StatusOK {
				continue
			}
			errs, ok := at(a.object(t), "errors").([]any)
			if !ok || at(a.object(t), "isSuccessful") != (len(errs) == 0) {
				t.Errorf("%d %s", a.status, a.text)
			}
			for _, e := range errs {
				if code, _ := at(e, "errorCode").(float64); code == 0 || code >= 500000 {
					t.Errorf("%s: item error %v", body, e)
				}
			}
		}
	})
}

// FuzzContinuation demands that no token but ours continues a query.
func FuzzContinuation(f *testing.F) {
	w := managementtest.Start(f)
	for _, id := range []string{"sn-1", "sn-2"} {
		put(f, w, "/enrollments/"+id, sym(""), "")
	}
	good := ask(f, w, "/enrollments/query", "", 1, "").continuation(f)
	for _, token := range []string{good, good[:len(good)-1], good + "A", "Mw==", " ", "%", strings.Repeat("A", 2000)} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		a := do(t, w, call{method: "POST", path: "/enrollments/query", header: http.Header{"X-Ms-Continuation": {token}}})
		want := http.StatusBadRequest
		if token == "" || token == good {
			want = http.StatusOK
		}
		if a.status != want || !json.Valid([]byte(a.text)) {
			t.Errorf("%q: %d %s", token, a.status, a.text)
		}
	})
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
