package adminapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

const comparePath = world + "/secrets:compare"

func TestCompareSecrets(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	keys := `{"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + managementtest.Key + `","secondaryKey":"` + managementtest.Secondary + `"}}}`
	must(t, w, 200, call{"PUT", world + "/enrollments/one", keys, nil})
	must(t, w, 200, call{"PUT", world + "/enrollmentGroups/many", keys, nil})
	before := len(w.Audits(t))
	hub := "HostName=hub1.example;SharedAccessKeyName=iothubowner;SharedAccessKey=" + managementtest.Key
	for _, tt := range []struct{ kind, name, members, want string }{
		{"linkedHub", "HUB1.example", `"connectionString":"` + hub + `"`, ""},
		{"linkedHub", "hub1.example", `"connectionString":"` + strings.ToLower(hub) + `"`, "connectionString"},
		{"linkedHub", "none.example", `"connectionString":"` + hub + `"`, "connectionString"},
		{"policy", "reader", `"primaryKey":"` + managementtest.Key + `","secondaryKey":"` + managementtest.Secondary + `"`, ""},
		{"policy", "reader", `"primaryKey":"` + managementtest.Secondary + `","secondaryKey":null`, "primaryKey"},
		{"policy", "reader", `"primaryKey":"` + managementtest.Key[:20] + `\n` + managementtest.Key[20:] + `\n"`, ""},
		{"policy", "none", `"secondaryKey":"x"`, "secondaryKey"},
		{"enrollment", "ONE", `"primaryKey":"` + managementtest.Key + `","secondaryKey":"x"`, "secondaryKey"},
		{"enrollment", "none", `"primaryKey":""`, "primaryKey"},
		{"enrollmentGroup", "many", `"primaryKey":"` + managementtest.Key + `","connectionString":"x"`, "connectionString"},
		{"enrollmentGroup", "none", `"primaryKey":"` + managementtest.Key + `","secondaryKey":"x"`, "primaryKey secondaryKey"},
	} {
		body := fmt.Sprintf(`{"value":[{"kind":%q,"name":%q,%s}]}`, tt.kind, tt.name, tt.members)
		a := do(t, w, call{"POST", comparePath, body, nil})
		var got admin.SecretDifferences
		if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.status != 200 {
			t.Fatalf("%s: %d %s", body, a.status, a.text)
		}
		members := ""
		if len(got.Value) > 0 {
			members = strings.Join(got.Value[0].Members, " ")
		}
		if members != tt.want {
			t.Errorf("%s %s: %q differ, want %q", tt.kind, tt.name, members, tt.want)
		}
	}
	for body, status := range map[string]int{
		`{"value":[{"kind":"scope","name":"x"}]}`:                                                              400,
		`{"value":[` + strings.Repeat(`{"kind":"policy","name":"x"},`, 100) + `{"kind":"policy","name":"x"}]}`: 400,
		`{"value":[{"kind":"enrollment","name":"no id","primaryKey":"x"}]}`:                                    400,
		`{}`: 400,
	} {
		if a := do(t, w, call{"POST", comparePath, body, nil}); a.status != status {
			t.Errorf("%.60s: %d %s, want %d", body, a.status, a.text, status)
		}
	}
	if a := do(t, w, call{"POST", scopes + "/0neNO/secrets:compare", `{"value":[{"kind":"policy","name":"x"}]}`, nil}); a.status != 404 {
		t.Errorf("unknown scope: %d %s", a.status, a.text)
	}
	if wrote := w.Audits(t)[before:]; len(wrote) > 0 {
		t.Errorf("comparing wrote %v", wrote)
	}
}

// TestCompareSecretsOfPolicies: who may not read the keys of policies may not try them.
func TestCompareSecretsOfPolicies(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	operator := management.Caller{Grants: []management.Grant{{Role: management.RoleOperator}}}
	for owner, code := range map[management.SecretOwner]dps.Code{management.PolicySecrets: dps.Forbidden, management.HubSecrets: dps.Internal} {
		_, err := w.Management.CompareSecrets(t.Context(), operator, managementtest.Scope, []management.SecretQuestion{{Owner: owner, Name: "x"}})
		if (err != nil) != (code != dps.Internal) || err != nil && dps.CodeOf(err) != code {
			t.Errorf("%s: %v", owner, err)
		}
	}
}

// TestImportByThumbprint: a device certificate that is not at hand is taken by its
// thumbprint in an import, and nowhere else.
func TestImportByThumbprint(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	leaf := need(testpki.SelfSigned("sn-1", w.Now()))(t)
	print := attestation.Thumbprint(leaf.Cert)
	info := `{"info":{"subjectName":"CN=sn-1","sha256Thumbprint":"` + strings.ToLower(print) + `","notAfterUtc":"2040-01-01T00:00:00Z","version":3}}`
	entry := `{"registrationId":"sn-1","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":` + info + `}}}}`
	if a := do(t, w, call{"PUT", world + "/enrollments/sn-1", entry, nil}); a.status != 400 || !strings.Contains(a.text, "send the certificate") {
		t.Errorf("by PUT: %d %s", a.status, a.text)
	}
	for _, bad := range []string{
		strings.ReplaceAll(entry, strings.ToLower(print), "ABC"), strings.ReplaceAll(entry, strings.ToLower(print), strings.Repeat("x", 64)),
		strings.ReplaceAll(entry, "clientCertificates", "signingCertificates"),
	} {
		if got := upload(t, w, "application/x-ndjson", bad); len(got.rejected) != 1 {
			t.Errorf("imported %s", bad)
		}
	}
	for _, want := range []admin.ImportProgress{{Created: 1}, {Unchanged: 1}} {
		got := upload(t, w, "application/x-ndjson", entry).done
		got.Row, got.Offset = 0, 0
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for kind, format := range map[string]string{"application/x-ndjson": "ndjson", "text/csv": "csv"} {
		file := do(t, w, call{"GET", world + "/enrollments:export?format=" + format, "", nil}).text
		if got := upload(t, w, kind, file); len(got.rejected) > 0 {
			t.Errorf("an exported %s is rejected: %v", format, got.rejected)
		}
	}
	// With the certificate itself, it is another content, and shown.
	whole := strings.Replace(entry, info, `{"certificate":`+quoted(t, leaf.PEM())+`}`, 1)
	must(t, w, 200, call{"PUT", world + "/enrollments/sn-1", whole, nil})
	if got := do(t, w, call{"GET", world + "/enrollments/sn-1", "", nil}); !strings.Contains(got.text, "BEGIN CERTIFICATE") {
		t.Errorf("the certificate is not shown: %s", got.text)
	}
}
