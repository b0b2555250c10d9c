package adminapi_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

// members returns one member of each entry of a list.
func members(list map[string]any, name string) []string {
	out := []string{}
	for _, one := range list["value"].([]any) {
		out = append(out, fmt.Sprint(one.(map[string]any)[name]))
	}
	return out
}

func TestDenyList(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/denials"
	print := strings.Repeat("ab:", 32)
	added := must(t, w, 200, call{"POST", path, `{"value":[
		{"kind":"thumbprint","value":"` + strings.TrimSuffix(print, ":") + `","note":"stolen from the dock"},
		{"kind":"serial","value":"00:0a:1b"},
		{"kind":"serial","value":"0a1b","issuer":"CN=Line 4 CA"},
		{"kind":"issuer","value":" CN=Batch 7 CA "}]}`, nil})
	want := []string{strings.Repeat("AB", 32), "A1B", "A1B", "CN=Batch 7 CA"}
	if got := members(added, "value"); !slices.Equal(got, want) {
		t.Errorf("added %v", got)
	}
	if a := w.LastAudit(t); a.Action != "denial.put" || !strings.Contains(string(a.Detail), "serial A1B of CN=Line 4 CA") || !strings.Contains(string(a.Detail), `"count":4`) {
		t.Errorf("audit: %s %s", a.Action, a.Detail)
	}
	list := must(t, w, 200, get(path))
	if got := members(list, "kind"); !slices.Equal(got, []string{"issuer", "serial", "serial", "thumbprint"}) {
		t.Errorf("order: %v", got)
	}
	last := list["value"].([]any)[3].(map[string]any)
	if last["note"] != "stolen from the dock" || last["createdDateTimeUtc"] == nil {
		t.Errorf("entry: %v", last)
	}
	before := len(w.Audits(t))
	must(t, w, 204, call{method: "DELETE", path: path + "?kind=serial&value=0A1B"})
	if a := w.LastAudit(t); a.Action != "denial.delete" || len(w.Audits(t)) != before+1 {
		t.Errorf("audit: %s %s", a.Action, a.Detail)
	}
	must(t, w, 404, call{method: "DELETE", path: path + "?kind=serial&value=a1b"})
	must(t, w, 204, call{method: "DELETE", path: path + "?kind=serial&value=a1b&issuer=CN%3DLine%204%20CA"})
	if got := members(must(t, w, 200, get(path)), "kind"); !slices.Equal(got, []string{"issuer", "thumbprint"}) {
		t.Errorf("left: %v", got)
	}
}

func TestRefusedDenials(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/denials"
	good := `{"kind":"serial","value":"01"}`
	for _, tt := range []struct{ name, body, field string }{
		{"none", `{"value":[]}`, "value"},
		{"too many", `{"value":[` + strings.Repeat(good+",", management.MaxDenialsAtOnce) + good + `]}`, "value"},
		{"kind", `{"value":[` + good + `,{"kind":"name","value":"x"}]}`, "value[1].kind"},
		{"not hex", `{"value":[` + good + `,{"kind":"serial","value":"xyz"}]}`, "value[1].value"},
		{"SHA-1", `{"value":[{"kind":"thumbprint","value":"` + strings.Repeat("AB", 20) + `"}]}`, "value[0].value"},
		{"issuer of a thumbprint", `{"value":[{"kind":"thumbprint","value":"` + strings.Repeat("AB", 32) + `","issuer":"CN=x"}]}`, "value[0].issuer"},
		{"no name", `{"value":[{"kind":"issuer","value":"Line 4"}]}`, "value[0].value"},
		{"no value", `{"value":[{"kind":"serial"}]}`, "value[0].value"},
	} {
		refused := must(t, w, 400, call{"POST", path, tt.body, nil})
		if at := refused["info"]; at == nil || at.(map[string]any)["field"] != tt.field {
			t.Errorf("%s: %v", tt.name, refused)
		}
	}
	if got := members(must(t, w, 200, get(path)), "kind"); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	must(t, w, 404, get(scopes+"/0neNONE/denials"))
	must(t, w, 404, call{"POST", scopes + "/0neNONE/denials", `{"value":[` + good + `]}`, nil})
	must(t, w, 400, call{method: "DELETE", path: path})
	must(t, w, 400, call{method: "DELETE", path: path + "?kind=serial&value=zz"})
}

// uploadCA puts a CA certificate and returns its path.
func uploadCA(t testing.TB, w *managementtest.World, name string, ca *testpki.Entity, members string) string {
	t.Helper()
	path := world + "/certificates/" + name
	must(t, w, 200, call{"PUT", path, `{"certificate":` + quoted(t, ca.PEM()) + members + `}`, nil})
	return path
}

// crl is a revocation list of a CA.
func crl(t testing.TB, ca *testpki.Entity, at time.Time, serials ...int64) string {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(at.Unix()), ThisUpdate: at, NextUpdate: at.Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: at})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

func root(t testing.TB, w *managementtest.World, name string) *testpki.Entity {
	t.Helper()
	ca, err := testpki.Root(name, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestRevocationSettings(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	ca := root(t, w, "Plant")
	path := uploadCA(t, w, "plant", ca, `,"revocation":{"crlUrl":"http://ca.example/plant.crl","whenUnknown":"accept"}`)
	settings := func() any { return must(t, w, 200, get(path))["revocation"] }
	want := map[string]any{"crlUrl": "http://ca.example/plant.crl", "whenUnknown": "accept"}
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	must(t, w, 200, call{"PUT", path, `{"isVerified":true}`, nil}) // does not speak of it
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("after another change (-want +got):\n%s", diff)
	}
	must(t, w, 200, call{"PUT", path, `{"revocation":{"ocspUrl":"https://ocsp.example/"}}`, nil})
	want = map[string]any{"ocspUrl": "https://ocsp.example/", "whenUnknown": "refuse"}
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
	if detail := string(w.LastAudit(t).Detail); !strings.Contains(detail, `"ocspUrl":"https://ocsp.example/"`) {
		t.Errorf("audit: %s", detail)
	}
	must(t, w, 200, call{"PUT", path, `{"revocation":{}}`, nil})
	if diff := cmp.Diff(map[string]any{"whenUnknown": "refuse"}, settings()); diff != "" {
		t.Errorf("cleared (-want +got):\n%s", diff)
	}
	for body, field := range map[string]string{
		`{"revocation":{"crlUrl":"ftp://x/y"}}`:                       "revocation.crlUrl",
		`{"revocation":{"ocspUrl":"http://u:p@x/"}}`:                  "revocation.ocspUrl",
		`{"revocation":{"whenUnknown":"perhaps"}}`:                    "revocation.whenUnknown",
		`{"revocation":{"crlUrl":"http://x/","x":1,"whenUnknown":2}}`: "revocation.whenUnknown",
	} {
		if refused := must(t, w, 400, call{"PUT", path, body, nil}); refused["info"].(map[string]any)["field"] != field {
			t.Errorf("%s: %v", body, refused)
		}
	}
}

func TestUploadOfCRL(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	ca, other := root(t, w, "Plant"), root(t, w, "Other")
	path := uploadCA(t, w, "plant", ca, `,"revocation":{"ocspUrl":"http://ocsp.example"}`)
	put := func(status int, body string) map[string]any {
		t.Helper()
		return must(t, w, status, call{"PUT", path + "/crl", body, map[string]string{"Content-Type": "application/pkix-crl"}})
	}
	first := put(200, crl(t, ca, w.Now(), 1, 2, 3))
	got := first["revocation"].(map[string]any)["uploadedCrl"].(map[string]any)
	if got["entries"] != 3.0 || len(got["sha256"].(string)) != 64 || got["thisUpdate"] == nil || got["nextUpdate"] == nil {
		t.Errorf("described as %v", got)
	}
	if a := w.LastAudit(t); a.Action != "crl.put" || a.Subject != "plant" || !strings.Contains(string(a.Detail), `"entries":3`) {
		t.Errorf("audit: %s %s %s", a.Action, a.Subject, a.Detail)
	}
	for name, bad := range map[string]string{
		"older": crl(t, ca, w.Now().Add(-time.Minute), 1), "another CA's": crl(t, other, w.Now()),
		"no list": "hello", "nothing": "x", "JSON": "{}",
	} {
		if refused := put(400, bad); refused["info"].(map[string]any)["field"] != "crl" {
			t.Errorf("%s: %v", name, refused)
		}
	}
	newer := crl(t, ca, w.Now().Add(time.Minute))
	must(t, w, 412, call{"PUT", path + "/crl", newer, map[string]string{"If-Match": `"stale"`}})
	text := string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte(newer)}))
	second := put(200, text)
	if n := second["revocation"].(map[string]any)["uploadedCrl"].(map[string]any)["entries"]; n != 0.0 || second["etag"] == first["etag"] {
		t.Errorf("the next list: %v", second)
	}
	must(t, w, 200, call{"PUT", path, `{"revocation":{"ocspUrl":"http://ocsp.example/2"}}`, nil}) // the list stays
	stored, err := w.Store.Scopes().CRL(t.Context(), managementtest.Scope, "plant")
	if err != nil || string(stored) != newer {
		t.Errorf("stored %d bytes, %v", len(stored), err)
	}
	must(t, w, 404, call{"PUT", world + "/certificates/none/crl", newer, nil})
	must(t, w, 412, call{"DELETE", path + "/crl", "", map[string]string{"If-Match": `"stale"`}})
	must(t, w, 204, call{method: "DELETE", path: path + "/crl"})
	must(t, w, 404, call{method: "DELETE", path: path + "/crl"})
	if got := must(t, w, 200, get(path))["revocation"].(map[string]any); got["uploadedCrl"] != nil || got["ocspUrl"] != "http://ocsp.example/2" {
		t.Errorf("left: %v", got)
	}
	put(200, crl(t, ca, w.Now().Add(-time.Hour), 1)) // there is no newer one any more
}

// A list outlives a renewal of its CA's certificate, and goes with the key.
func TestCRLOfRenewedCA(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	ca := root(t, w, "Plant")
	path := uploadCA(t, w, "plant", ca, "")
	must(t, w, 200, call{"PUT", path + "/crl", crl(t, ca, w.Now(), 1), nil})
	der, err := x509.CreateCertificate(rand.Reader, ca.Cert, ca.Cert, ca.Key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	renewed := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	got := must(t, w, 200, call{"PUT", path, `{"certificate":` + quoted(t, renewed) + `}`, nil})
	if got["revocation"].(map[string]any)["uploadedCrl"] == nil {
		t.Error("renewal dropped the list")
	}
	got = must(t, w, 200, call{"PUT", path, `{"certificate":` + quoted(t, root(t, w, "Plant").PEM()) + `}`, nil})
	if got["revocation"].(map[string]any)["uploadedCrl"] != nil {
		t.Error("another key kept the list")
	}
	must(t, w, 404, call{method: "DELETE", path: path + "/crl"})
}

// No more of a list is held than may be stored.
func TestCRLTooLarge(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := uploadCA(t, w, "plant", root(t, w, "Plant"), "") + "/crl"
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "https://127.0.0.1:9443"+path, io.LimitReader(zeros{}, 10*management.MaxCRL))
	r.Header.Set("Authorization", "Bearer "+w.AdminToken)
	rec := httptest.NewRecorder()
	w.Admin.ServeHTTP(rec, r)
	if rec.Code != 413 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	body := `{"certificate":"` + strings.Repeat("x", 300<<10) + `"}`
	must(t, w, 413, call{"PUT", world + "/certificates/crl", body, nil}) // a certificate's name, not a list
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestScopeRevocation(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	got := must(t, w, 200, get(world))
	rules := map[string]any{"maxChainLength": 0.0, "minRsaBits": 2048.0, "algorithms": []any{}, "requireClientAuth": false}
	if diff := cmp.Diff(rules, got["certificateRules"]); diff != "" || got["whenRevoked"] != "keep" {
		t.Errorf("at first %v (-want +got):\n%s", got["whenRevoked"], diff)
	}
	set := `{"whenRevoked":"disable","certificateRules":{"maxChainLength":4,"algorithms":["ECDSA"],"requireClientAuth":true}}`
	got = must(t, w, 200, call{"PATCH", world, set, nil})
	rules = map[string]any{"maxChainLength": 4.0, "minRsaBits": 2048.0, "algorithms": []any{"ECDSA"}, "requireClientAuth": true}
	if diff := cmp.Diff(rules, got["certificateRules"]); diff != "" || got["whenRevoked"] != "disable" {
		t.Errorf("set %v (-want +got):\n%s", got["whenRevoked"], diff)
	}
	got = must(t, w, 200, call{"PATCH", world, `{"filterQueries":true}`, nil})
	if diff := cmp.Diff(rules, got["certificateRules"]); diff != "" || got["whenRevoked"] != "disable" {
		t.Errorf("after another change %v (-want +got):\n%s", got["whenRevoked"], diff)
	}
	for body, field := range map[string]string{
		`{"whenRevoked":"never"}`: "whenRevoked", `{"certificateRules":{"maxChainLength":1}}`: "certificateRules.maxChainLength",
		`{"certificateRules":{"minRsaBits":1024}}`: "certificateRules.minRsaBits", `{"certificateRules":{"algorithms":["DSA"]}}`: "certificateRules.algorithms",
	} {
		if refused := must(t, w, 400, call{"PATCH", world, body, nil}); refused["info"].(map[string]any)["field"] != field {
			t.Errorf("%s: %v", body, refused)
		}
	}
}

// Lists are held in memory until they are stored, so few are taken at once; one that
// breaks off is not stored.
func TestCRLUploadsAtOnce(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	ca := root(t, w, "Plant")
	path := uploadCA(t, w, "plant", ca, "") + "/crl"
	list := crl(t, ca, w.Now(), 1)
	ended := make(chan int, 2)
	var senders []*io.PipeWriter
	for range 2 {
		body, sender := io.Pipe()
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "https://127.0.0.1:9443"+path, body)
		r.Header.Set("Authorization", "Bearer "+w.AdminToken)
		go func() {
			rec := httptest.NewRecorder()
			w.Admin.ServeHTTP(rec, r)
			ended <- rec.Code
		}()
		if _, err := io.WriteString(sender, list[:10]); err != nil { // it is being read
			t.Fatal(err)
		}
		senders = append(senders, sender)
	}
	if refused := must(t, w, 429, call{"PUT", path, list, nil}); refused["code"] != "throttled" {
		t.Errorf("a third: %v", refused)
	}
	for _, sender := range senders {
		_ = sender.CloseWithError(io.ErrUnexpectedEOF)
		if code := <-ended; code != 400 {
			t.Errorf("broken off: %d", code)
		}
	}
	must(t, w, 404, call{method: "DELETE", path: path})
	must(t, w, 200, call{"PUT", path, list, nil})
}
