package endpoint_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
)

func TestParseAPIVersion(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"2019-03-31": true, "2021-06-01": true, "2017-08-31-preview": true, "2025-07-01-preview": true, "2099-12-31": true,
		"": false, "latest": false, "2019-13-31": false, "2019-3-31": false, "2019-03-31-beta": false, "2019-03-31 ": false,
	} {
		if _, err := endpoint.ParseAPIVersion(text); (err == nil) != ok || !ok && dps.CodeOf(err) != dps.BadRequest {
			t.Errorf("ParseAPIVersion(%q) = %v, want ok %t", text, err, ok)
		}
	}
}

func TestParseBody(t *testing.T) {
	t.Parallel()
	const old, csr = "2019-03-31", "2025-07-01-preview"
	for _, tt := range []struct {
		name, body, version, payload string
		code                         dps.Code // Internal: none
	}{
		{"empty, as C# over MQTT sends it", "", old, "", dps.Internal},
		{"blanks", " \n", old, "", dps.Internal},
		{"empty object", "{}", old, "", dps.Internal},
		{"ID as in the path", `{"registrationId":"dev-1"}`, old, "", dps.Internal},
		{"ID in another letter case", `{"registrationId":"DEV-1"}`, old, "", dps.Internal},
		{"null payload, as Python sends it", `{"registrationId":"dev-1","payload":null}`, old, "", dps.Internal},
		{"object payload", `{"payload":{"a":[1,"x"]}}`, old, `{"a":[1,"x"]}`, dps.Internal},
		{"scalar payload", `{"payload":7}`, old, `7`, dps.Internal},
		{"payload that is no UTF-8", "{\"payload\":\"a\xff\"}", old, "\"a\uFFFD\"", dps.Internal},
		{"the largest", `{"payload":"` + strings.Repeat("x", endpoint.MaxBodySize-14) + `"}`, old, `"` + strings.Repeat("x", endpoint.MaxBodySize-14) + `"`, dps.Internal},
		{"one byte more", `{"payload":"` + strings.Repeat("x", endpoint.MaxBodySize-13) + `"}`, old, "", dps.TooLarge},
		{"unknown members", `{"x":1,"y":{"z":null}}`, old, "", dps.Internal},
		{"CSR in an old version is ignored", `{"csr":"AAAA"}`, old, "", dps.Internal},
		{"CSR in a new version", `{"csr":"AAAA"}`, csr, "", dps.InvalidArgument},
		{"another ID than the path's", `{"registrationId":"dev-2"}`, old, "", dps.InvalidArgument},
		{"ID of a wrong type", `{"registrationId":7}`, old, "", dps.InvalidArgument},
		{"TPM of a wrong type", `{"tpm":"x"}`, old, "", dps.InvalidArgument},
		{"TPM key that is not base64", `{"tpm":{"endorsementKey":"%%"}}`, old, "", dps.InvalidArgument},
		{"array", `[]`, old, "", dps.BadRequest},
		{"text", `"register"`, old, "", dps.BadRequest},
		{"not JSON", `register me`, old, "", dps.BadRequest},
		{"cut short", `{"registrationId":"de`, old, "", dps.BadRequest},
		{"two values", `{} {}`, old, "", dps.BadRequest},
		{"nested ninety thousand deep", strings.Repeat("[", 90_000), old, "", dps.BadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, err := endpoint.ParseBody([]byte(tt.body), "dev-1", tt.version)
			if tt.code == dps.Internal {
				if err != nil || string(body.Payload) != tt.payload || (body.Payload == nil) != (tt.payload == "") {
					t.Fatalf("payload %q, error %v; want %q", body.Payload, err, tt.payload)
				}
				return
			}
			if err == nil || dps.CodeOf(err) != tt.code {
				t.Fatalf("got %v, want code %d", err, tt.code)
			}
		})
	}
}

func FuzzParseBody(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"registrationId":"dev-1","payload":{"a":1}}`, `{"tpm":{"endorsementKey":"AAAA","storageRootKey":"AAAA"}}`, `{"payload":null}`, `[`} {
		f.Add([]byte(seed), "2021-06-01")
	}
	f.Fuzz(func(t *testing.T, text []byte, version string) {
		body, err := endpoint.ParseBody(text, "dev-1", version)
		if err != nil {
			if code := dps.CodeOf(err); code != dps.BadRequest && code != dps.InvalidArgument && code != dps.TooLarge {
				t.Errorf("error %v has code %d", err, code)
			}
			return
		}
		if body.Payload != nil && !json.Valid(body.Payload) {
			t.Errorf("payload %q is not JSON", body.Payload)
		}
	})
}

func FuzzParseRegistrationID(f *testing.F) {
	f.Add("dev-1")
	f.Add("SN:7._-")
	f.Add("\u212a")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := dps.ParseRegistrationID(text)
		if err != nil {
			return
		}
		if string(id) != text || len(text) > dps.MaxIDLength || id.Fold() != dps.RegistrationID(id.Fold()).Fold() {
			t.Errorf("ParseRegistrationID(%q) = %q", text, id)
		}
	})
}
