package serviceapi_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// refusal is one mistake a manufacturer can make.
type refusal struct {
	name string
	path string // default: a path of the kind's collection that fits body
	body string
	code int    // errorCode
	in   string // info.field
	rule string // info.rule
}

func key(size int) string { return base64.StdEncoding.EncodeToString(make([]byte, size)) }

// tpm2b is base64 of what has the outline of a TPM2B_PUBLIC.
func tpm2b() string {
	return base64.StdEncoding.EncodeToString(append([]byte{0, 10}, make([]byte, 10)...))
}

func quoted(t testing.TB, text string) string {
	t.Helper()
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// sym is a body of a symmetric-key enrollment with more members.
func sym(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"attestation":{"type":"symmetricKey"}` + members + `}`
}

func attest(mechanism string) string { return `{"attestation":` + mechanism + `}` }

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

func TestIndividualRefusals(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	leaf := quoted(t, managementtest.Certificate(t, "sn-1", nil))
	ca := quoted(t, managementtest.Certificate(t, "CA", managementtest.CA))
	longCN := quoted(t, managementtest.Certificate(t, strings.Repeat("n", 65), nil))
	long := strings.Repeat("a", 129)
	for _, tt := range []refusal{
		{name: "ID too long", path: "/enrollments/" + long, body: sym(""), code: 400004, in: "registrationId", rule: "length"},
		{name: "ID with a blank", path: "/enrollments/a%20b", body: sym(""), code: 400004, in: "registrationId", rule: "charset"},
		{name: "ID with a slash", path: "/enrollments/a%2Fb", body: sym(""), code: 400004, in: "registrationId", rule: "charset"},
		{name: "ID that looks encoded after decoding", path: "/enrollments/a%2541", body: sym(""), code: 400004, in: "registrationId", rule: "charset"},
		{name: "ID ends in a dot", path: "/enrollments/a.", body: sym(""), code: 400004, in: "registrationId", rule: "lastCharacter"},
		{name: "ID with the Kelvin sign", path: "/enrollments/%E2%84%AA", body: sym(""), code: 400004, in: "registrationId", rule: "charset"},
		{name: "other ID in the body", body: sym(`"registrationId":"other"`), code: 400004, in: "registrationId", rule: "samePath"},
		{name: "device ID with a blank", body: sym(`"deviceId":"a b"`), code: 400004, in: "deviceId", rule: "charset"},
		{name: "device ID too long", body: sym(`"deviceId":"` + long + `"`), code: 400004, in: "deviceId", rule: "length"},

		{name: "no attestation", body: `{}`, code: 400004, in: "attestation", rule: "required"},
		{name: "null attestation", body: `{"attestation":null}`, code: 400004, in: "attestation", rule: "required"},
		{name: "no type", body: attest(`{}`), code: 400004, in: "attestation.type", rule: "required"},
		{name: "type none", body: attest(`{"type":"none"}`), code: 400004, in: "attestation.type", rule: "enum"},
		{name: "unknown type", body: attest(`{"type":"password"}`), code: 400004, in: "attestation.type", rule: "enum"},
		{name: "two mechanisms", body: attest(`{"type":"symmetricKey","tpm":{"endorsementKey":"` + tpm2b() + `"}}`), code: 400004, in: "attestation.tpm", rule: "exactlyOne"},
		{name: "key not base64", body: attest(`{"type":"symmetricKey","symmetricKey":{"primaryKey":"%%%"}}`), code: 400004, in: "attestation.symmetricKey.primaryKey", rule: "base64"},
		{name: "key of 15 bytes", body: attest(`{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + key(15) + `"}}`), code: 400004, in: "attestation.symmetricKey.primaryKey", rule: "length"},
		{name: "key of 65 bytes", body: attest(`{"type":"symmetricKey","symmetricKey":{"secondaryKey":"` + key(65) + `"}}`), code: 400004, in: "attestation.symmetricKey.secondaryKey", rule: "length"},
		{name: "no endorsement key", body: attest(`{"type":"tpm","tpm":{}}`), code: 400004, in: "attestation.tpm.endorsementKey", rule: "required"},
		{name: "endorsement key not base64", body: attest(`{"type":"tpm","tpm":{"endorsementKey":"!"}}`), code: 400004, in: "attestation.tpm.endorsementKey", rule: "base64"},
		{name: "endorsement key without its length", body: attest(`{"type":"tpm","tpm":{"endorsementKey":"` + key(32) + `"}}`), code: 400004, in: "attestation.tpm.endorsementKey", rule: "tpm2b"},
		{name: "bad storage root key", body: attest(`{"type":"tpm","tpm":{"endorsementKey":"` + tpm2b() + `","storageRootKey":"AA=="}}`), code: 400004, in: "attestation.tpm.storageRootKey", rule: "tpm2b"},

		{name: "no x509 member", body: attest(`{"type":"x509","x509":{}}`), code: 400004, in: "attestation.x509", rule: "atLeastOne"},
		{name: "no slot", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":null,"secondary":null}}}`), code: 400004, in: "attestation.x509", rule: "atLeastOne"},
		{name: "empty slots", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{}}}}`), code: 400004, in: "attestation.x509.clientCertificates", rule: "atLeastOne"},
		{name: "two x509 members", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":` + leaf + `}},"caReferences":{"primary":"x"}}}`), code: 400004, in: "attestation.x509", rule: "exactlyOne"},
		{name: "certificate is junk", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"junk"}}}}`), code: 400004, in: "attestation.x509.clientCertificates.primary.certificate", rule: "certificate"},
		{name: "private key beside the certificate", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"-----BEGIN EC PRIVATE KEY-----"}}}}`), code: 400004, in: "attestation.x509.clientCertificates.primary.certificate", rule: "privateKey"},
		{name: "common name of 65 characters", body: attest(`{"type":"x509","x509":{"clientCertificates":{"secondary":{"certificate":` + longCN + `}}}}`), code: 400004, in: "attestation.x509.clientCertificates.secondary.certificate", rule: "commonName"},
		{name: "info of an unknown certificate", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"info":{"sha256Thumbprint":"AB"}}}}}`), code: 400004, in: "attestation.x509.clientCertificates.primary", rule: "certificate"},
		{name: "info without thumbprint", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"info":{"subjectName":"CN=x"}}}}}`), code: 400004, in: "attestation.x509.clientCertificates.primary.certificate", rule: "required"},
		{name: "signing certificate is no CA", body: attest(`{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + leaf + `}}}}`), code: 400004, in: "attestation.x509.signingCertificates.primary.certificate", rule: "ca"},
		{name: "X.509 ID longer than a common name", path: "/enrollments/" + strings.Repeat("a", 65), body: attest(`{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + ca + `}}}}`), code: 400004, in: "registrationId", rule: "length"},
		{name: "unknown CA", body: attest(`{"type":"x509","x509":{"caReferences":{"primary":"nowhere"}}}`), code: 400004, in: "attestation.x509.caReferences.primary", rule: "exists"},

		{name: "unknown status", body: sym(`"provisioningStatus":"paused"`), code: 400004, in: "provisioningStatus", rule: "enum"},
		{name: "unknown policy", body: sym(`"allocationPolicy":"random"`), code: 400004, in: "allocationPolicy", rule: "enum"},
		{name: "static without a hub", body: sym(`"allocationPolicy":"static"`), code: 400004, in: "iotHubs", rule: "static"},
		{name: "static with two hubs", body: sym(`"allocationPolicy":"static","iotHubs":["hub1.example","hub2.example"]`), code: 400004, in: "iotHubs", rule: "static"},
		{name: "custom without its definition", body: sym(`"allocationPolicy":"custom"`), code: 400004, in: "customAllocationDefinition", rule: "custom"},
		{name: "webhook without host", body: sym(`"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"/x","apiVersion":"2019-03-31"}`), code: 400004, in: "customAllocationDefinition.webhookUrl", rule: "url"},
		{name: "webhook of an old version", body: sym(`"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"https://f.example","apiVersion":"2018-04-01"}`), code: 400004, in: "customAllocationDefinition.apiVersion", rule: "version"},
		{name: "hub not linked", body: sym(`"iotHubs":["hub1.example","hub9.example"]`), code: 400210, in: "iotHubs[1]", rule: "linked"},
		{name: "hub twice", body: sym(`"iotHubs":["hub1.example","HUB1.example"]`), code: 400004, in: "iotHubs[1]", rule: "unique"},
		{name: "legacy hub not linked", body: sym(`"iotHubHostName":"hub9.example"`), code: 400210, in: "iotHubHostName", rule: "linked"},
		{name: "legacy hub differs", body: sym(`"iotHubHostName":"hub1.example","iotHubs":["hub2.example"]`), code: 400004, in: "iotHubHostName", rule: "exclusive"},
		{name: "half a reprovision policy", body: sym(`"reprovisionPolicy":{"updateHubAssignment":true}`), code: 400004, in: "reprovisionPolicy", rule: "required"},

		{name: "tags over 8 KB", body: sym(`"initialTwin":{"tags":{"a":["` + strings.Repeat("x", 4096) + `","` + strings.Repeat("x", 4096) + `"]}}`), code: 400004, in: "initialTwin.tags", rule: "size"},
		{name: "desired over 32 KB", body: sym(`"initialTwin":{"properties":{"desired":{"a":[` + strings.Repeat(`"`+strings.Repeat("x", 4000)+`",`, 9) + `1]}}}`), code: 400004, in: "initialTwin.properties.desired", rule: "size"},
		{name: "text over 4 KB", body: sym(`"initialTwin":{"tags":{"a":"` + strings.Repeat("x", 4097) + `"}}`), code: 400004, in: "initialTwin.tags.a", rule: "size"},
		{name: "eleven levels", body: sym(`"initialTwin":{"tags":` + nested(11) + `}`), code: 400004, in: "initialTwin.tags" + strings.Repeat(".a", 10), rule: "depth"},
		{name: "key with a dot", body: sym(`"initialTwin":{"tags":{"a.b":1}}`), code: 400004, in: "initialTwin.tags", rule: "key"},
		{name: "key with a dollar", body: sym(`"initialTwin":{"properties":{"desired":{"x":{"$y":1}}}}`), code: 400004, in: "initialTwin.properties.desired.x", rule: "key"},
		{name: "key with a blank", body: sym(`"initialTwin":{"tags":{"a b":1}}`), code: 400004, in: "initialTwin.tags", rule: "key"},
		{name: "key with a control character", body: sym(`"initialTwin":{"tags":{"a\u0000":1}}`), code: 400004, in: "initialTwin.tags", rule: "key"},
		{name: "reported properties", body: sym(`"initialTwin":{"properties":{"reported":{"a":1}}}`), code: 400004, in: "initialTwin.properties.reported", rule: "readOnly"},
		{name: "credential policy with a line break", body: sym(`"credentialPolicyName":"a\nb"`), code: 400004, in: "credentialPolicyName", rule: "charset"},

		{name: "wrong type of a member", body: sym(`"iotHubs":"hub1.example"`), code: 400000, in: "iotHubs", rule: "type"},
		{name: "wrong type of an item", body: sym(`"iotHubs":[5]`), code: 400000, in: "iotHubs[0]", rule: "type"},
		{name: "wrong type of a nested member", body: sym(`"capabilities":{"iotEdge":"yes"}`), code: 400000, in: "capabilities.iotEdge", rule: "type"},
		{name: "wrong type three levels down", body: attest(`{"type":"symmetricKey","symmetricKey":{"primaryKey":5}}`), code: 400000, in: "attestation.symmetricKey.primaryKey", rule: "type"},
		{name: "device information is a list", body: sym(`"optionalDeviceInformation":[]`), code: 400000, in: "optionalDeviceInformation", rule: "type"},
		{name: "tags are a text", body: sym(`"initialTwin":{"tags":"x"}`), code: 400000, in: "initialTwin.tags", rule: "type"},
		{name: "body is a list", body: `[]`, code: 400000, in: "body", rule: "type"},
		{name: "body is null", body: `null`, code: 400000, in: "body", rule: "type"},
		{name: "no body", body: "", code: 400000, in: "body", rule: "type"},
	} {
		if tt.path == "" {
			tt.path = "/enrollments/sn-1"
		}
		t.Run(tt.name, func(t *testing.T) { tt.check(t, w) })
	}
}

func TestGroupRefusals(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	leaf := quoted(t, managementtest.Certificate(t, "sn-1", nil))
	wrongUsage := quoted(t, managementtest.Certificate(t, "CA", func(c *x509.Certificate) {
		managementtest.CA(c)
		c.KeyUsage = x509.KeyUsageDigitalSignature
	}))
	for _, tt := range []refusal{
		{name: "ID with a slash", path: "/enrollmentGroups/a%2Fb", body: sym(""), code: 400004, in: "enrollmentGroupId", rule: "charset"},
		{name: "other ID in the body", body: sym(`"enrollmentGroupId":"other"`), code: 400004, in: "enrollmentGroupId", rule: "samePath"},
		{name: "TPM", body: attest(`{"type":"tpm","tpm":{"endorsementKey":"` + tpm2b() + `"}}`), code: 400004, in: "attestation.type", rule: "group"},
		{name: "TPMs with a key", body: attest(`{"type":"tpm","tpm":{"endorsementKey":"` + tpm2b() + `","endorsementIssuers":{"primary":"x"}}}`), code: 400004, in: "attestation.tpm.endorsementKey", rule: "group"},
		{name: "TPMs of nobody", body: attest(`{"type":"tpm","tpm":{"endorsementIssuers":{}}}`), code: 400004, in: "attestation.tpm.endorsementIssuers", rule: "atLeastOne"},
		{name: "TPMs of an unknown CA", body: attest(`{"type":"tpm","tpm":{"endorsementIssuers":{"primary":"nowhere"}}}`), code: 400004, in: "attestation.tpm.endorsementIssuers.primary", rule: "exists"},
		{name: "client certificates", body: attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":` + leaf + `}}}}`), code: 400004, in: "attestation.x509.clientCertificates", rule: "group"},
		{name: "signing certificate is no CA", body: attest(`{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + leaf + `}}}}`), code: 400004, in: "attestation.x509.signingCertificates.primary.certificate", rule: "ca"},
		{name: "signing certificate may not sign", body: attest(`{"type":"x509","x509":{"signingCertificates":{"secondary":{"certificate":` + wrongUsage + `}}}}`), code: 400004, in: "attestation.x509.signingCertificates.secondary.certificate", rule: "keyUsage"},
		{name: "unknown CA", body: attest(`{"type":"x509","x509":{"caReferences":{"secondary":"nowhere"}}}`), code: 400004, in: "attestation.x509.caReferences.secondary", rule: "exists"},
		{name: "hub not linked", body: sym(`"iotHubs":["hub9.example"]`), code: 400210, in: "iotHubs[0]", rule: "linked"},
	} {
		if tt.path == "" {
			tt.path = "/enrollmentGroups/line-3"
		}
		t.Run(tt.name, func(t *testing.T) { tt.check(t, w) })
	}
}

// check demands the error, and that nothing was stored.
func (tt refusal) check(t *testing.T, w *managementtest.World) {
	t.Helper()
	a := do(t, w, call{method: "PUT", path: tt.path, body: tt.body})
	if a.status != http.StatusBadRequest || a.errorCode(t) != tt.code {
		t.Fatalf("answered %d %s, want errorCode %d", a.status, a.text, tt.code)
	}
	info := a.object(t)["info"]
	if at(info, "field") != tt.in || at(info, "rule") != tt.rule {
		t.Errorf("info is %v, want field %q and rule %q", info, tt.in, tt.rule)
	}
	if got := do(t, w, call{method: "GET", path: tt.path}); got.status == http.StatusOK {
		t.Errorf("the refused entry was stored: %s", got.text)
	}
}
