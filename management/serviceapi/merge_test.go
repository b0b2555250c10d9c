package serviceapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// Keys that a client leaves out stay, slot by slot; a change of mechanism makes new
// ones.
func TestKeysOnUpdate(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	first, second := key(32), key(48)
	given := attest(`{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + first + `","secondaryKey":"` + second + `"}}`)
	for _, path := range []string{"/enrollments/sn-1", "/enrollmentGroups/line-3"} {
		put(t, w, path, given, "")
		for _, tt := range []struct {
			name, mechanism    string
			primary, secondary string
		}{
			{"member missing", `{"type":"symmetricKey"}`, first, second},
			{"member null", `{"type":"symmetricKey","symmetricKey":null}`, first, second},
			{"member empty", `{"type":"symmetricKey","symmetricKey":{}}`, first, second},
			{"slots empty", `{"type":"symmetricKey","symmetricKey":{"primaryKey":"","secondaryKey":""}}`, first, second},
			{"primary rolled", `{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + key(64) + `"}}`, key(64), second},
			{"rolled back", `{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + first + `","secondaryKey":null}}`, first, second},
		} {
			t.Run(path+" "+tt.name, func(t *testing.T) {
				put(t, w, path, attest(tt.mechanism), "*")
				got := do(t, w, call{method: "POST", path: path + "/attestationmechanism"}).object(t)
				want := map[string]any{"type": "symmetricKey", "symmetricKey": map[string]any{"primaryKey": tt.primary, "secondaryKey": tt.secondary}}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}

	put(t, w, "/enrollments/sn-1", attest(`{"type":"tpm","tpm":{"endorsementKey":"`+tpm2b()+`"}}`), "*")
	back := put(t, w, "/enrollments/sn-1", attest(`{"type":"symmetricKey"}`), "*")
	if got := at(back, "attestation", "symmetricKey", "primaryKey"); got == first || got == nil {
		t.Errorf("after another mechanism the key is %v", got)
	}
}

// Certificates come back as info; a client that writes this back leaves them in place,
// moves them between slots, or drops one.
func TestCertificatesOnUpdate(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, kind := range []struct{ path, member string }{
		{"/enrollments/sn-1", "clientCertificates"},
		{"/enrollmentGroups/line-3", "signingCertificates"},
	} {
		t.Run(kind.member, func(t *testing.T) {
			one := quoted(t, managementtest.Certificate(t, "one", managementtest.CA))
			two := quoted(t, managementtest.Certificate(t, "two", managementtest.CA))
			slots := func(primary, secondary string) string {
				return attest(`{"type":"x509","x509":{"` + kind.member + `":{"primary":` + primary + `,"secondary":` + secondary + `}}}`)
			}
			made := put(t, w, kind.path, slots(`{"certificate":`+one+`}`, `{"certificate":`+two+`}`), "")
			info := func(slot string) string {
				text, err := json.Marshal(at(made, "attestation", "x509", kind.member, slot))
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			for _, tt := range []struct{ name, primary, secondary, first, second string }{
				{"as they were", info("primary"), info("secondary"), "CN=one", "CN=two"},
				{"swapped", info("secondary"), info("primary"), "CN=two", "CN=one"},
				{"one dropped", "null", info("primary"), "", "CN=one"},
			} {
				updated := put(t, w, kind.path, slots(tt.primary, tt.secondary), "*")
				for slot, want := range map[string]string{"primary": tt.first, "secondary": tt.second} {
					got, _ := at(updated, "attestation", "x509", kind.member, slot, "info", "subjectName").(string)
					if got != want {
						t.Errorf("%s: %s is %q, want %q", tt.name, slot, got, want)
					}
				}
			}
			a := do(t, w, call{method: "PUT", path: kind.path, body: slots(info("secondary"), "null"), ifMatch: "*"})
			if a.errorCode(t) != 400004 {
				t.Errorf("info of a certificate that was dropped: %d %s", a.status, a.text)
			}
		})
	}
}

// What an absent member means depends on what clients of the version know.
func TestVersions(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	full := map[string]any{"updateHubAssignment": true, "migrateDeviceData": true}
	for version, want := range map[string]any{
		"2017-11-15": nil, "2018-04-01": nil, "2018-09-01-preview": nil,
		"2018-11-01": full, "2019-03-31": full, "2021-10-01": full, "2031-01-01-preview": full,
	} {
		made := put(t, w, "/enrollments/v"+version+"?api-version="+version, sym(""), "")
		if diff := cmp.Diff(want, at(made, "reprovisionPolicy")); diff != "" {
			t.Errorf("%s, reprovisionPolicy (-want +got):\n%s", version, diff)
		}
	}
	for version, kept := range map[string]bool{"2019-03-31": true, "2021-10-01": false} {
		path := "/enrollments/info" + version + "?api-version="
		put(t, w, path+"2021-10-01", sym(`"optionalDeviceInformation":{"model":"P-7"}`), "")
		updated := put(t, w, path+version, sym(""), "*")
		if got := at(updated, "optionalDeviceInformation") != nil; got != kept {
			t.Errorf("%s: device information kept is %v, want %v", version, got, kept)
		}
	}
}

// A certificate or CA can lead to one group only.
func TestGroupsThatCollide(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	ca := managementtest.Certificate(t, "CA", managementtest.CA)
	w.AddAuthority(t, "factory-root", ca)
	inline := attest(`{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + quoted(t, ca) + `}}}}`)
	named := attest(`{"type":"x509","x509":{"caReferences":{"primary":"Factory-Root"}}}`)
	both := attest(`{"type":"x509","x509":{"caReferences":{"primary":"factory-root","secondary":"factory-root"}}}`)
	put(t, w, "/enrollmentGroups/a", inline, "")
	put(t, w, "/enrollmentGroups/b", named, "")
	for path, body := range map[string]string{"/enrollmentGroups/c": inline, "/enrollmentGroups/d": named} {
		if a := do(t, w, call{method: "PUT", path: path, body: body}); a.status != http.StatusConflict {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	put(t, w, "/enrollmentGroups/a", inline, "*")
	put(t, w, "/enrollmentGroups/b", both, "*")
}
