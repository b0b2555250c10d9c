package adminapi_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

func need[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func pemText(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func TestProofOfPossession(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/certificates/factory-root"
	root := need(testpki.Root("Factory Root", w.Now()))(t)
	twin := need(testpki.Root("Factory Root", w.Now()))(t)
	below := need(root.CA("Issuing", w.Now()))(t)
	made := must(t, w, 200, call{"PUT", path, `{"certificate":` + quoted(t, pemText(root.Cert)) + `}`, nil})
	code := func() string {
		t.Helper()
		got := must(t, w, 200, call{"POST", path + "/verificationCode", "", nil})
		return got["verificationCode"].(string)
	}
	verify := func(e *testpki.Entity) answer {
		t.Helper()
		return do(t, w, call{"POST", path + "/verify", `{"certificate":` + quoted(t, pemText(e.Cert)) + `}`, nil})
	}
	refused := func(what, rule string, e *testpki.Entity) {
		t.Helper()
		a := verify(e)
		if info, _ := a.object(t)["info"].(map[string]any); a.status != 400 || info["rule"] != rule {
			t.Errorf("%s: %d %s, want rule %s", what, a.status, a.text, rule)
		}
	}
	refused("without a code", "code", need(root.Leaf("x", w.Now()))(t))
	former, current := code(), code()
	if len(current) != 48 || strings.Trim(current, "0123456789ABCDEF") != "" || former == current {
		t.Errorf("codes %s, %s", former, current)
	}
	refused("a former code", "commonName", need(root.Leaf(former, w.Now()))(t))
	refused("the code in small letters", "commonName", need(root.Leaf(strings.ToLower(current), w.Now()))(t))
	refused("another CA of that name", "signature", need(twin.Leaf(current, w.Now()))(t))
	refused("a CA below", "signature", need(below.Leaf(current, w.Now()))(t))
	refused("expired", "validity", need(root.Leaf(current, w.Now(), testpki.Validity(w.Now().Add(-2*time.Hour), w.Now().Add(-time.Hour))))(t))
	good := need(root.Leaf(current, w.Now()))(t)
	if a := do(t, w, call{"POST", path + "/verify", `{"certificate":` + quoted(t, pemText(good.Cert)) + `}`, map[string]string{"If-Match": made["etag"].(string)}}); a.status != 412 {
		t.Errorf("the etag before the code: %d %s", a.status, a.text)
	}
	if a := verify(good); a.status != 200 || a.object(t)["isVerified"] != true {
		t.Fatalf("the proof: %d %s", a.status, a.text)
	}
	refused("the proof again", "code", good)

	late := need(root.Leaf(code(), w.Now(), testpki.Validity(w.Now(), w.Now().Add(72*time.Hour))))(t)
	w.Pass(24 * time.Hour)
	refused("a day later", "code", late)

	// Other bytes void the code and the verification.
	next := code()
	replaced := must(t, w, 200, call{"PUT", path, `{"certificate":` + quoted(t, pemText(twin.Cert)) + `}`, nil})
	if replaced["isVerified"] != false {
		t.Errorf("after the replacement: %v", replaced)
	}
	refused("a code of the former bytes", "code", need(twin.Leaf(next, w.Now()))(t))
	// So do other bytes that a release wrote which knows no codes, and left the code.
	next = code()
	stored := need(w.Management.Authority(t.Context(), management.Operator(""), managementtest.Scope, "factory-root"))(t)
	other := need(attestation.ParseCertificate("certificate", pemText(root.Cert)))(t)
	stored.Certificate = *other
	need(w.Store.Scopes().PutAuthority(t.Context(), managementtest.Scope, stored, enrollment.Precondition{}))(t)
	refused("a code of bytes that were replaced beneath it", "code", need(root.Leaf(next, w.Now()))(t))
	for _, record := range []string{"token:admin certificate.code factory-root", "token:admin certificate.verify factory-root"} {
		if !strings.Contains(strings.Join(w.Audits(t), "\n"), record) {
			t.Errorf("no audit record %q", record)
		}
	}
}

func TestCertificateTellsExpiryAndUse(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/certificates/factory-root"
	root := need(testpki.Root("Root", w.Now(), testpki.Validity(w.Now(), w.Now().Add(10*24*time.Hour+time.Hour))))(t)
	must(t, w, 200, call{"PUT", path, `{"certificate":` + quoted(t, pemText(root.Cert)) + `,"isVerified":true}`, nil})
	group := enrollment.Group{ID: "line-3", Mechanism: namedCA("FACTORY-root"), Settings: enrollment.Settings{Enabled: true}}
	if _, err := w.Management.PutGroup(t.Context(), management.Operator(""), managementtest.Scope, group, management.Write{}); err != nil {
		t.Fatal(err)
	}
	got := must(t, w, 200, call{"GET", path, "", nil})
	if got["daysToExpiry"] != 10.0 || fmt.Sprint(got["enrollmentGroups"]) != "[line-3]" {
		t.Errorf("%v", got)
	}
	w.Pass(11 * 24 * time.Hour)
	if got := must(t, w, 200, call{"GET", path, "", nil}); got["daysToExpiry"] != -1.0 {
		t.Errorf("expired: %v", got["daysToExpiry"])
	}
}

func TestPolicyKeys(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/policies/" + managementtest.Reader
	keys := func() [2]string {
		t.Helper()
		got := must(t, w, 200, call{"POST", path + "/listKeys", "", nil})
		return [2]string{got["primaryKey"].(string), got["secondaryKey"].(string)}
	}
	before := keys()
	must(t, w, 200, call{"POST", path + "/swapKeys", "", nil})
	if got := keys(); got != [2]string{before[1], before[0]} {
		t.Errorf("after the swap: %v", got)
	}
	renewed := must(t, w, 200, call{"POST", path + "/renewKey", `{"slot":"primary"}`, nil})
	if got := keys(); got[0] == before[1] || got[1] != before[0] || len(got[0]) != 88 {
		t.Errorf("after the renewal: %v", got)
	}
	if a := do(t, w, call{"POST", path + "/renewKey", `{"slot":"secondary"}`, map[string]string{"If-Match": `"stale"`}}); a.status != 412 {
		t.Errorf("stale: %d %s", a.status, a.text)
	}
	must(t, w, 200, call{"POST", path + "/renewKey", `{"slot":"secondary"}`, map[string]string{"If-Match": renewed["etag"].(string)}})
	must(t, w, 400, call{"POST", path + "/renewKey", `{"slot":"third"}`, nil})
	must(t, w, 404, call{"POST", world + "/policies/none/renewKey", `{"slot":"primary"}`, nil})
	if a := do(t, w, call{"POST", path + "/renewKey", `{"slot":"primary"}`, nil}); strings.Contains(a.text, keys()[0]) {
		t.Errorf("the key shows: %s", a.text)
	}
}

func TestHubRotation(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/linkedHubs/" + managementtest.Hub1
	next := strings.Replace(connection(managementtest.Hub1), managementtest.Key, managementtest.Secondary, 1)
	body := `{"connectionString":"` + next + `"}`
	hints := func(m map[string]any) [2]any { return [2]any{m["keyHint"], m["nextKeyHint"]} }
	hint := func(key string) string { return key[len(key)-4:] }
	first, second := hint(managementtest.Key), hint(managementtest.Secondary)

	must(t, w, 400, call{"POST", path + "/rotate", `{}`, nil})
	must(t, w, 400, call{"POST", path + "/rotate", `{"finish":true}`, nil})
	must(t, w, 400, call{"POST", path + "/rotate", `{"connectionString":"` + connection("other.example") + `"}`, nil})
	if got := hints(must(t, w, 200, call{"POST", path + "/rotate", body, nil})); got != [2]any{first, second} {
		t.Errorf("while rotating: %v", got)
	}
	// Whatever else is changed leaves both.
	if got := hints(must(t, w, 200, call{"PATCH", path, `{"allocationWeight":2}`, nil})); got != [2]any{first, second} {
		t.Errorf("after a change: %v", got)
	}
	w.OnProbe(func(l hub.Linked) (hub.Probe, error) {
		if l.ConnectionString.Reveal() != next {
			t.Errorf("finishing asked with another connection string")
		}
		return hub.Probe{}, dps.Errorf(dps.HubUnauthorized, "the hub refused the link's credential")
	})
	if got := must(t, w, 400, call{"POST", path + "/rotate", `{"finish":true}`, nil}); got["code"] != "hubUnauthorized" {
		t.Errorf("finishing with a refused key: %v", got)
	}
	if got := hints(must(t, w, 200, call{"GET", path, "", nil})); got != [2]any{first, second} {
		t.Errorf("after the refusal: %v", got)
	}
	if got := hints(must(t, w, 200, call{"POST", path + "/rotate", `{"finish":true,"force":true}`, nil})); got != [2]any{second, nil} {
		t.Errorf("after the end: %v", got)
	}
	w.OnProbe(nil)
	must(t, w, 200, call{"POST", path + "/rotate", `{"connectionString":"` + connection(managementtest.Hub1) + `"}`, nil})
	if got := hints(must(t, w, 200, call{"POST", path + "/rotate", `{"finish":true}`, nil})); got != [2]any{first, nil} {
		t.Errorf("after a second rotation: %v", got)
	}
	// A new connection string ends a rotation.
	must(t, w, 200, call{"POST", path + "/rotate", body, nil})
	if got := hints(must(t, w, 200, call{"PATCH", path, body, nil})); got != [2]any{second, nil} {
		t.Errorf("after a new connection string: %v", got)
	}
}

func TestIPFilterRules(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/ipFilterRules"
	rules := `{"value":[{"filterName":"plant","action":"Accept","ipMask":"10.1.2.3/16"},
		{"filterName":"one","action":"Reject","ipMask":"2001:db8::1","target":"deviceApi"},
		{"filterName":"rest","action":"Reject","ipMask":"0.0.0.0/0","target":"all"}]}`
	put := do(t, w, call{"PUT", path, rules, nil})
	want := map[string]any{"value": []any{
		map[string]any{"filterName": "plant", "action": "Accept", "ipMask": "10.1.0.0/16", "target": "all"},
		map[string]any{"filterName": "one", "action": "Reject", "ipMask": "2001:db8::1", "target": "deviceApi"},
		map[string]any{"filterName": "rest", "action": "Reject", "ipMask": "0.0.0.0/0", "target": "all"},
	}}
	if diff := cmp.Diff(want, put.object(t)); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, must(t, w, 200, call{"GET", path, "", nil})); diff != "" {
		t.Errorf("get (-want +got):\n%s", diff)
	}
	for _, tt := range []struct{ ip, target, want string }{
		{"10.1.9.9", "serviceApi", "Accept plant"},
		{"192.0.2.1", "serviceApi", "Reject rest"},
		{"2001:db8::1", "deviceApi", "Reject one"},
		{"2001:db8::1", "serviceApi", "Accept <nil>"},
	} {
		got := must(t, w, 200, call{"POST", path + "/explain", `{"ip":"` + tt.ip + `","target":"` + tt.target + `"}`, nil})
		if text := fmt.Sprint(got["action"], " ", got["filterName"]); text != tt.want {
			t.Errorf("%s at %s: %s", tt.ip, tt.target, text)
		}
	}
	stale := map[string]string{"If-Match": put.header.Get("ETag")}
	must(t, w, 200, call{"PUT", path, `{"value":[]}`, stale})
	must(t, w, 412, call{"PUT", path, rules, stale})
	for name, body := range map[string]string{
		"mask":   `{"value":[{"filterName":"a","action":"Accept","ipMask":"10.1"}]}`,
		"action": `{"value":[{"filterName":"a","action":"Drop","ipMask":"10.1.0.0/16"}]}`,
		"twice":  `{"value":[{"filterName":"a","action":"Accept","ipMask":"10.1.0.0/16"},{"filterName":"A","action":"Accept","ipMask":"10.1.0.0/16"}]}`,
		"shape":  `{"value":[{}]}`,
		"none":   `{}`,
	} {
		if a := do(t, w, call{"PUT", path, body, nil}); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	must(t, w, 400, call{"POST", path + "/explain", `{"ip":"x","target":"deviceApi"}`, nil})
	must(t, w, 400, call{"POST", path + "/explain", `{"ip":"10.1.1.1","target":"all"}`, nil})
}

func TestScopeSettings(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	got := must(t, w, 200, call{"GET", world, "", nil})
	if got["disableLocalAuth"] != false || got["minTlsVersion"] != "1.2" || fmt.Sprint(got["limits"]) != "map[profile:unlimited]" {
		t.Errorf("defaults: %v", got)
	}
	got = must(t, w, 200, call{"PATCH", world, `{"minTlsVersion":"1.3","limits":{"profile":"azure","linkedHubs":2,"certificates":1,"x509EnrollmentGroups":1}}`, nil})
	if got["minTlsVersion"] != "1.3" || fmt.Sprint(got["limits"]) != "map[certificates:1 linkedHubs:2 profile:azure x509EnrollmentGroups:1]" {
		t.Errorf("changed: %v", got)
	}
	must(t, w, 400, call{"PATCH", world, `{"minTlsVersion":"1.1"}`, nil})
	must(t, w, 400, call{"PATCH", world, `{"limits":{"profile":"aws"}}`, nil})
	must(t, w, 400, call{"PATCH", world, `{"limits":{"linkedHubs":-1}}`, nil})

	// Limits refuse what is new, and leave what there is.
	link := func(host string) call {
		return call{"PUT", world + "/linkedHubs/" + host, `{"connectionString":"` + connection(host) + `"}`, nil}
	}
	must(t, w, 403, link("hub3.example"))
	must(t, w, 200, link(managementtest.Hub1))
	ca := `{"certificate":` + quoted(t, managementtest.Certificate(t, "CA", managementtest.CA)) + `,"isVerified":true}`
	must(t, w, 200, call{"PUT", world + "/certificates/one", ca, nil})
	must(t, w, 200, call{"PUT", world + "/certificates/one", ca, nil})
	must(t, w, 403, call{"PUT", world + "/certificates/two", ca, nil})
	put := func(id string) error {
		group := enrollment.Group{ID: id, Mechanism: namedCA("one"), Settings: enrollment.Settings{Enabled: true}}
		if id == "second" {
			group.Mechanism = namedCA("two")
		}
		_, err := w.Management.PutGroup(t.Context(), management.Operator(""), managementtest.Scope, group, management.Write{})
		return err
	}
	if err := put("first"); err != nil {
		t.Fatal(err)
	}
	must(t, w, 200, call{"PATCH", world, `{"limits":{"certificates":0,"x509EnrollmentGroups":1}}`, nil})
	must(t, w, 200, call{"PUT", world + "/certificates/two", ca, nil})
	if err := put("second"); !dps.Is(err, dps.QuotaReached) {
		t.Errorf("a group too many: %v", err)
	}
	must(t, w, 200, link("hub3.example"))
}

func TestAudit(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	for i := range 5 {
		w.Pass(time.Minute)
		must(t, w, 200, call{"PUT", fmt.Sprintf("%s/policies/p%d", world, i), `{}`, nil})
	}
	read := func(path string) (subjects string, next string, records []any) {
		t.Helper()
		page := must(t, w, 200, call{"GET", path, "", nil})
		records, _ = page["value"].([]any)
		for _, r := range records {
			subjects += r.(map[string]any)["subject"].(string) + " "
		}
		next, _ = page["continuation"].(string)
		return strings.TrimSpace(subjects), next, records
	}
	first, next, records := read(world + "/audit?limit=2&action=policy.put")
	if first != "p4 p3" || next == "" {
		t.Fatalf("%q, %q", first, next)
	}
	newest := records[0].(map[string]any)
	if newest["actor"] != "token:admin" || newest["idScope"] != string(managementtest.Scope) || newest["time"] != "2026-01-01T00:05:00.0000000Z" || newest["trackingId"] == "" || newest["detail"] == nil {
		t.Errorf("record %v", newest)
	}
	if second, _, _ := read(world + "/audit?limit=2&action=policy.put&continuation=" + next); second != "p2 p1" {
		t.Errorf("second page: %q", second)
	}
	if got, next, _ := read(world + "/audit?subject=p1"); got != "p1" || next != "" {
		t.Errorf("by subject: %q %q", got, next)
	}
	if got, _, _ := read(world + "/audit?actor=token:admin&from=2026-01-01T00:02:00Z&until=2026-01-01T00:04:00Z"); got != "p2 p1" {
		t.Errorf("by time: %q", got)
	}
	if got, _, _ := read(scopes + "/0neother/audit"); got != "0neOTHER" {
		t.Errorf("another scope's: %q", got)
	}
	if all, _, _ := read("/admin/v1/audit?limit=1000"); !strings.Contains(all, "p4") || !strings.Contains(all, "0neOTHER") || !strings.Contains(all, "admin-token") {
		t.Errorf("all: %q", all)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "from=yesterday", "continuation=x", "continuation=-1"} {
		if a := do(t, w, call{"GET", world + "/audit?" + query, "", nil}); a.status != 400 {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
}
