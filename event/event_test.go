package event_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	e := event.Event{
		ID: "9a1f", Kind: event.Reassigned, Scope: "0ne1", Registration: "sn-1", Time: time.Date(2026, 5, 4, 3, 2, 1, 500, time.FixedZone("", 7200)),
		Cursor: event.Cursor{Stream: "00112233aabbccdd", Position: 42},
		Data: event.Data{
			RegistrationID: "sn-1", AssignedHub: "west", DeviceID: "pump", From: &event.Identity{Hub: "east", DeviceID: "pump"}, Substatus: "deviceDataMigrated",
			EnrollmentGroupID: "line", Attestation: "x509", OperationID: "4.1",
		},
	}
	got, err := event.Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"9a1f","source":"0ne1","type":"io.dps.registration.reassigned","subject":"sn-1",` +
		`"time":"2026-05-04T01:02:01.0000005Z","datacontenttype":"application/json","cursor":"00112233aabbccdd-42","data":{` +
		`"registrationId":"sn-1","assignedHub":"west","deviceId":"pump","from":{"assignedHub":"east","deviceId":"pump"},` +
		`"substatus":"deviceDataMigrated","enrollmentGroupId":"line","attestation":"x509","operationId":"4.1"}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("encoded (-want +got):\n%s", diff)
	}
}

func TestParseKinds(t *testing.T) {
	t.Parallel()
	got, err := event.ParseKinds("kinds", []string{"failed", "registered", "failed"})
	if diff := cmp.Diff([]event.Kind{event.Failed, event.Registered}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := event.ParseKinds("kinds", []string{"Failed"}); !dps.Is(err, dps.InvalidArgument) {
		t.Errorf("unknown kind: %v", err)
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	s := event.Stream{ID: "00112233aabbccdd", Head: 9, Tail: 3}
	for _, tt := range []struct {
		text, rule string // rule: of the refusal; empty: taken
	}{
		{"00112233aabbccdd-3", ""},
		{"00112233aabbccdd-9", ""},
		{"00112233aabbccdd-2", "expired"},
		{"00112233aabbccdd-10", "stream"},
		{"ff112233aabbccdd-5", "stream"},
		{"00112233AABBCCDD-5", "cursor"},
		{"00112233aabbccdd-05", "cursor"},
		{"00112233aabbccdd--1", "cursor"},
		{"00112233aabbccdd-+1", "cursor"},
		{"00112233aabbccdd-99999999999999999999", "cursor"},
		{"00112233aabbccdd", "cursor"},
		{"", "cursor"},
	} {
		c, err := event.ParseCursor(tt.text)
		if err == nil {
			err = s.Check(c)
		}
		rule := ""
		if e := (*dps.Error)(nil); err != nil {
			e, _ = err.(*dps.Error) //nolint:errorlint // as the package gives it
			rule = e.Info["rule"]
		}
		if rule != tt.rule {
			t.Errorf("%q: refused by %q, want %q", tt.text, rule, tt.rule)
		}
	}
}

// FuzzParseCursor: what is taken is written as it was read.
func FuzzParseCursor(f *testing.F) {
	f.Add("00112233aabbccdd-42")
	f.Add("-")
	f.Add("now")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := event.ParseCursor(text)
		if err == nil && c.String() != text {
			t.Errorf("%q is read as %q", text, c)
		}
	})
}

func TestHookValidate(t *testing.T) {
	t.Parallel()
	good := event.Hook{Name: "erp", URL: "https://erp.example/in?code=k", Secret: dps.NewSecret("0123456789abcdef")}
	for _, tt := range []struct {
		name   string
		change func(*event.Hook)
		field  string // that is at fault; empty: none
	}{
		{"as it should be", func(*event.Hook) {}, ""},
		{"http on loopback", func(h *event.Hook) { h.URL = "http://127.0.0.1:8080/in" }, ""},
		{"http where it is permitted", func(h *event.Hook) { h.URL, h.AllowHTTP = "http://erp.example", true }, ""},
		{"http elsewhere", func(h *event.Hook) { h.URL = "http://erp.example" }, "url"},
		{"another scheme", func(h *event.Hook) { h.URL = "ftp://erp.example" }, "url"},
		{"a password in the URL", func(h *event.Hook) { h.URL = "https://me:secret@erp.example" }, "url"},
		{"no URL", func(h *event.Hook) { h.URL = "" }, "url"},
		{"a name with a slash", func(h *event.Hook) { h.Name = "a/b" }, "name"},
		{"a long name", func(h *event.Hook) { h.Name = strings.Repeat("a", 65) }, "name"},
		{"a short secret", func(h *event.Hook) { h.Secret = dps.NewSecret("short") }, "secret"},
		{"no certificate", func(h *event.Hook) { h.TrustedCAs = "x" }, "trustedCertificates"},
		{"a key without certificate", func(h *event.Hook) { h.Key = dps.NewSecret("x") }, "clientCertificate"},
	} {
		h := good
		tt.change(&h)
		field := ""
		if e, ok := h.Validate().(*dps.Error); ok { //nolint:errorlint // as the package gives it
			field = e.Info["field"]
		}
		if field != tt.field {
			t.Errorf("%s: fault in %q, want %q", tt.name, field, tt.field)
		}
	}
}
