package arm_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/declare/arm"
)

const show = `{"name":"plant","properties":{"idScope":"0neA","allocationPolicy":"Hashed","serviceOperationsHostName":"plant.example",
"iotHubs":[{"name":"east.example","connectionString":"HostName=east.example;SharedAccessKeyName=o;SharedAccessKey=****"}],
"authorizationPolicies":[{"keyName":"p","rights":"EnrollmentRead","primaryKey":null,"secondaryKey":null}],"ipFilterRules":null}}`

func TestRead(t *testing.T) {
	t.Parallel()
	policy := `{"keyName":"p","rights":"EnrollmentRead, EnrollmentWrite","primaryKey":"one","secondaryKey":"two"}`
	der := base64.StdEncoding.EncodeToString([]byte{0x30, 0x82, 0xff})
	for _, tt := range []struct {
		name  string
		texts []string
		keys  string
	}{
		{"a service and a list", []string{show, "[" + policy + "]"}, "one two"},
		{"the list first", []string{"[" + policy + "]", show}, "one two"},
		{"lists of the REST API", []string{show, `{"value":[` + policy + `],"nextLink":null}`}, "one two"},
		{"all in one text", []string{"\xef\xbb\xbf" + show + "\n" + policy}, "one two"},
		{"a list of services", []string{"[" + show + "]", policy}, "one two"},
		{"masked keys", []string{show, strings.ReplaceAll(strings.ReplaceAll(policy, "one", "****"), "two", "****")}, " "},
		{"a certificate", []string{show, policy, `{"name":"root","properties":{"certificate":"` + der + `","isVerified":false}}`}, "one two"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var i arm.Import
			for _, text := range tt.texts {
				if err := i.Read("f.json", []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			i.Finish()
			s := i.Scope
			if s.ID() != "0neA" || len(s.Policies) != 1 || len(s.LinkedHubs) != 1 || !s.LinkedHubs[0].ConnectionString.IsZero() {
				t.Fatalf("%+v", s)
			}
			if keys := s.Policies[0].PrimaryKey.Reveal() + " " + s.Policies[0].SecondaryKey.Reveal(); keys != tt.keys {
				t.Errorf("keys %q", keys)
			}
			if noted := strings.Contains(strings.Join(i.Notes, "\n"), "policy p is without keys"); noted != (tt.keys == " ") {
				t.Errorf("notes %q", i.Notes)
			}
		})
	}
}

// The original spells all rights by three, and existing connection strings shall stay
// good for all that they were good for.
func TestRightsOfTheOwner(t *testing.T) {
	t.Parallel()
	for rights, want := range map[string]string{
		"ServiceConfig, DeviceConnect, EnrollmentWrite": "ServiceConfig, EnrollmentRead, EnrollmentWrite, DeviceConnect, RegistrationStatusRead, RegistrationStatusWrite",
		"enrollmentWrite,serviceConfig,deviceConnect":   "ServiceConfig, EnrollmentRead, EnrollmentWrite, DeviceConnect, RegistrationStatusRead, RegistrationStatusWrite",
		"ServiceConfig, EnrollmentWrite":                "ServiceConfig, EnrollmentWrite",
		"EnrollmentWrite":                               "EnrollmentWrite",
	} {
		var i arm.Import
		if err := i.Read("f.json", []byte(`{"keyName":"p","rights":"`+rights+`","primaryKey":"one","secondaryKey":"two"}`)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(i.Scope.Policies[0].Rights, ", "); got != want {
			t.Errorf("%s became %s", rights, got)
		}
		if noted := strings.Contains(strings.Join(i.Notes, "\n"), "policy p has the rights"); noted != (rights != want) {
			t.Errorf("%s: notes %q", rights, i.Notes)
		}
	}
}

// Who is shut out by the original's filter is not let in over IPv6.
func TestFilterOfIPv6(t *testing.T) {
	t.Parallel()
	rule := func(name, action, mask string) string {
		return `{"filterName":"` + name + `","action":"` + action + `","ipMask":"` + mask + `","target":"deviceApi"}`
	}
	for _, tt := range []struct{ rules, want string }{
		{rule("a", "Accept", "10.0.0.0/8") + "," + rule("b", "Reject", "0.0.0.0/0"), "a b b (IPv6)"},
		{rule("b", "reject", "0.0.0.0/0") + "," + rule("c", "Reject", "::/0"), "b c"},
		{rule("a", "Accept", "0.0.0.0/0"), "a"},
	} {
		var i arm.Import
		if err := i.Read("f.json", []byte(`{"name":"plant","properties":{"idScope":"0neA","ipFilterRules":[`+tt.rules+`]}}`)); err != nil {
			t.Fatal(err)
		}
		names := make([]string, len(i.Scope.IPFilterRules))
		for n, r := range i.Scope.IPFilterRules {
			names[n] = r.FilterName
			if r.Target != "deviceApi" {
				t.Errorf("target %q", r.Target)
			}
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("rules %q, want %q", got, tt.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "holds neither",
		`{"a":1}`:                   "holds neither",
		`[[[[[{"keyName":"x"}]]]]]`: "holds neither",
		`{"properties":`:            "unexpected EOF",
		`{"properties":{"iotHubs":"none of your key"}}`: `"properties.iotHubs" is of type string`,
		`{"keyName":"p","rights":["a"]}`:                `"rights" is of type array`,
	} {
		var i arm.Import
		err := i.Read("f.json", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "none of your key") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// FuzzRead: any text is read or refused, and what was read can be written in the
// original's form.
func FuzzRead(f *testing.F) {
	f.Add([]byte(show))
	f.Add([]byte(`{"value":[{"name":"root","properties":{"certificate":"MII=","isVerified":true}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var i arm.Import
		if err := i.Read("f.json", text); err != nil {
			return
		}
		i.Finish()
		written, err := json.Marshal(arm.From(i.Scope))
		if err != nil {
			t.Fatal(err)
		}
		var again arm.Import
		if err := again.Read("f.json", written); err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, written)
		}
	})
}
