package adminapi_test

import (
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	const path = world + "/webhooks/f.example:8443"
	client := need(need(testpki.Root("Clients", w.Now()))(t).Leaf("dps", w.Now()))(t)
	pair := `"clientCertificate":` + quoted(t, client.PEM()) + `,"clientKey":` + quoted(t, need(client.KeyPEM())(t))
	made := must(t, w, 200, call{"PUT", path, `{"secret":"0123456789abcdef",` + pair + `,"fallbackPolicy":"Hashed"}`, map[string]string{"If-None-Match": "*"}})
	if made["host"] != "f.example:8443" || made["signed"] != true || made["fallbackPolicy"] != "hashed" || made["allowHttp"] != false {
		t.Errorf("made %v", made)
	}
	for _, tt := range []struct {
		name   string
		call   call
		status int
		code   string
	}{
		{"again", call{"PUT", path, `{}`, map[string]string{"If-None-Match": "*"}}, 409, "alreadyExists"},
		{"stale", call{"PUT", path, `{}`, map[string]string{"If-Match": `"other"`}}, 412, "preconditionFailed"},
		{"short secret", call{"PUT", path, `{"secret":"short"}`, nil}, 400, "invalidArgument"},
		{"another key", call{"PUT", path, `{"clientKey":"-----BEGIN PRIVATE KEY-----"}`, nil}, 400, "invalidArgument"},
		{"no certificate", call{"PUT", path, `{"trustedCertificates":"x"}`, nil}, 400, "invalidArgument"},
		{"custom as fallback", call{"PUT", path, `{"fallbackPolicy":"custom"}`, nil}, 400, "invalidArgument"},
		{"a URL", call{"PUT", world + "/webhooks/https:%2F%2Ff.example", `{}`, nil}, 400, "invalidArgument"},
		{"the port that goes without saying", call{"PUT", world + "/webhooks/f.example:443", `{}`, nil}, 400, "invalidArgument"},
		{"unknown", call{"GET", world + "/webhooks/g.example", "", nil}, 404, "notFound"},
		{"unknown to delete", call{"DELETE", world + "/webhooks/g.example", "", nil}, 404, "notFound"},
	} {
		a := do(t, w, tt.call)
		if a.status != tt.status || a.object(t)["code"] != tt.code {
			t.Errorf("%s: %d %s", tt.name, a.status, a.text)
		}
	}
	if stays := must(t, w, 200, call{"PUT", world + "/webhooks/F.EXAMPLE:8443", `{"allowHttp":true}`, nil}); stays["signed"] != true || stays["allowHttp"] != true {
		t.Errorf("what is not given stays: %v", stays)
	}
	for _, read := range []string{path, world + "/webhooks", world + "/audit"} {
		if a := do(t, w, call{"GET", read, "", nil}); a.status != 200 || strings.Contains(a.text, "0123456789") || strings.Contains(a.text, "PRIVATE KEY") {
			t.Errorf("%s tells secrets: %d %s", read, a.status, a.text)
		}
	}
	if a := do(t, w, call{"DELETE", path, "", nil}); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.text)
	}
}

// TestDefaultWebhook: a scope's default policy may be custom, its URL is shown masked, and
// what is shown may be written back.
func TestDefaultWebhook(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	set := `{"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"https://f.example/a?code=hush","apiVersion":"2021-10-01"}}`
	shown := must(t, w, 200, call{"PATCH", world, set, nil})
	definition := shown["customAllocationDefinition"].(map[string]any)
	if definition["webhookUrl"] != "https://f.example/a?****" || shown["allocationPolicy"] != "custom" {
		t.Errorf("shown %v", shown)
	}
	back := `{"customAllocationDefinition":{"webhookUrl":"https://f.example/a?****","apiVersion":"2022-10-01"}}`
	must(t, w, 200, call{"PATCH", world, back, nil})
	stored, err := w.Store.Scopes().Get(t.Context(), managementtest.Scope)
	if err != nil || stored.Custom.WebhookURL != "https://f.example/a?code=hush" || stored.Custom.APIVersion != "2022-10-01" {
		t.Errorf("stored %+v, %v", stored.Custom, err)
	}
	if a := do(t, w, call{"PATCH", world, `{"customAllocationDefinition":{"webhookUrl":"https://g.example/a?****","apiVersion":"2022-10-01"}}`, nil}); a.status != 400 {
		t.Errorf("another masked URL: %d %s", a.status, a.text)
	}
	if a := do(t, w, call{"GET", world, "", nil}); strings.Contains(a.text, "hush") {
		t.Errorf("the key is shown: %s", a.text)
	}
}
