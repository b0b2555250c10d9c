package enrollment_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

func surroundings() enrollment.Surroundings {
	return enrollment.Surroundings{Hubs: []string{"Hub1.example", "hub2.example"}, Authorities: []string{"Root"}}
}

// fault returns field and rule of a validation error, "" of nil.
func fault(t testing.TB, err error) string {
	t.Helper()
	var e *dps.Error
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e):
		t.Fatalf("not a coded error: %v", err)
	}
	return e.Info["field"] + ":" + e.Info["rule"]
}

func TestCheckIndividual(t *testing.T) {
	t.Parallel()
	cert := &attestation.Certificate{DER: []byte{1}}
	long := dps.RegistrationID(strings.Repeat("a", 65))
	for _, tt := range []struct {
		name  string
		entry enrollment.Individual
		fault string
	}{
		{"least", enrollment.Individual{ID: "sn-1", Mechanism: attestation.SymmetricKey{}}, ""},
		{"long ID", enrollment.Individual{ID: long, Mechanism: attestation.TPM{}}, ""},
		{"long ID with X.509", enrollment.Individual{ID: long, Mechanism: attestation.X509Leaf{Primary: cert}}, "registrationId:length"},
		{"CA of the scope", enrollment.Individual{ID: "sn-1", Mechanism: attestation.X509CA{SecondaryRef: "rOOT"}}, ""},
		{"certificates and names", enrollment.Individual{ID: "sn-1", Mechanism: attestation.X509CA{Primary: cert, SecondaryRef: "Root"}}, "attestation.x509:exactlyOne"},
		{"no certificate", enrollment.Individual{ID: "sn-1", Mechanism: attestation.X509Leaf{}}, "attestation.x509.clientCertificates:atLeastOne"},
		{"no mechanism", enrollment.Individual{ID: "sn-1"}, "attestation:required"},
		{"a group's mechanism", enrollment.Individual{ID: "sn-1", Mechanism: attestation.GroupKey{}}, "attestation:required"},
		{"device ID of every allowed mark", enrollment.Individual{ID: "sn-1", DeviceID: "A-:.+%_#*?!(),=@$'9", Mechanism: attestation.TPM{}}, ""},
		{"device ID with a slash", enrollment.Individual{ID: "sn-1", DeviceID: "a/b", Mechanism: attestation.TPM{}}, "deviceId:charset"},
		{"information of 32 levels", enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}, DeviceInfo: json.RawMessage(nested(32))}, ""},
		{"information of 33 levels", enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}, DeviceInfo: json.RawMessage(nested(33))}, "optionalDeviceInformation:depth"},
		{"information is wide", enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}, DeviceInfo: json.RawMessage(`{"a":[` + strings.Repeat(`[],`, 99) + `"{[{["]}`)}, ""},
		{"information is a list", enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}, DeviceInfo: json.RawMessage(`[1]`)}, "optionalDeviceInformation:type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := fault(t, tt.entry.Check(surroundings())); got != tt.fault {
				t.Errorf("fault %q, want %q", got, tt.fault)
			}
		})
	}
}

func TestCheckGroup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		entry enrollment.Group
		fault string
	}{
		{"key", enrollment.Group{ID: "line-3", Mechanism: attestation.GroupKey{}}, ""},
		{"ID", enrollment.Group{ID: "line 3", Mechanism: attestation.GroupKey{}}, "enrollmentGroupId:charset"},
		{"TPM", enrollment.Group{ID: "line-3", Mechanism: attestation.TPM{}}, "attestation:group"},
		{"leaf", enrollment.Group{ID: "line-3", Mechanism: attestation.X509Leaf{}}, "attestation:group"},
		{"no slot", enrollment.Group{ID: "line-3", Mechanism: attestation.X509CA{}}, "attestation.x509.signingCertificates or caReferences:atLeastOne"},
		{"unknown CA", enrollment.Group{ID: "line-3", Mechanism: attestation.X509CA{PrimaryRef: "Root", SecondaryRef: "x"}}, "attestation.x509.caReferences.secondary:exists"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := fault(t, tt.entry.Check(surroundings())); got != tt.fault {
				t.Errorf("fault %q, want %q", got, tt.fault)
			}
		})
	}
}

func TestCheckSettings(t *testing.T) {
	t.Parallel()
	webhook := func(url, version string) *enrollment.CustomAllocation {
		return &enrollment.CustomAllocation{WebhookURL: url, APIVersion: version}
	}
	many := make([]string, enrollment.MaxHubs+1)
	for _, tt := range []struct {
		name     string
		settings enrollment.Settings
		fault    string
	}{
		{"hub in another case", enrollment.Settings{Hubs: []string{"HUB1.EXAMPLE"}}, ""},
		{"too many hubs", enrollment.Settings{Hubs: many}, "iotHubs:length"},
		{"both members, one hub", enrollment.Settings{Hubs: []string{"hub1.example"}, LegacyHub: "HUB1.example"}, ""},
		{"both members, more hubs", enrollment.Settings{Hubs: []string{"hub1.example", "hub2.example"}, LegacyHub: "hub1.example"}, "iotHubHostName:exclusive"},
		{"static by the old member", enrollment.Settings{AllocationPolicy: enrollment.Static, LegacyHub: "hub1.example"}, ""},
		{"static by the new member", enrollment.Settings{AllocationPolicy: enrollment.Static, Hubs: []string{"hub1.example"}}, ""},
		{"static, none", enrollment.Settings{AllocationPolicy: enrollment.Static}, "iotHubs:static"},
		{"definition without the policy", enrollment.Settings{AllocationPolicy: enrollment.GeoLatency, Custom: webhook("http://f.example", "2018-09-01-preview")}, ""},
		{"custom", enrollment.Settings{AllocationPolicy: enrollment.Custom, Custom: webhook("https://f.example/a?code=b", "2021-10-01")}, ""},
		{"custom, nothing", enrollment.Settings{AllocationPolicy: enrollment.Custom}, "customAllocationDefinition:custom"},
		{"custom, relative", enrollment.Settings{AllocationPolicy: enrollment.Custom, Custom: webhook("f.example", "2021-10-01")}, "customAllocationDefinition.webhookUrl:url"},
		{"custom, other scheme", enrollment.Settings{AllocationPolicy: enrollment.Custom, Custom: webhook("ftp://f.example", "2021-10-01")}, "customAllocationDefinition.webhookUrl:url"},
		{"custom, no version", enrollment.Settings{AllocationPolicy: enrollment.Custom, Custom: webhook("https://f.example", "")}, "customAllocationDefinition.apiVersion:version"},
		{"custom, no date", enrollment.Settings{AllocationPolicy: enrollment.Custom, Custom: webhook("https://f.example", "2021-99-01")}, "customAllocationDefinition.apiVersion:version"},
		{"unknown policy", enrollment.Settings{AllocationPolicy: "x"}, "allocationPolicy:enum"},
		{"long credential policy", enrollment.Settings{CredentialPolicy: strings.Repeat("x", 129)}, "credentialPolicyName:length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}, Settings: tt.settings}
			if got := fault(t, e.Check(surroundings())); got != tt.fault {
				t.Errorf("fault %q, want %q", got, tt.fault)
			}
		})
	}
}

func TestInitialTwin(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	for _, tt := range []struct {
		name          string
		tags, desired string
		want          *enrollment.InitialTwin
		fault         string
	}{
		{name: "nothing"},
		{name: "null and empty", tags: "null", desired: "{ }"},
		{name: "only what a read adds", tags: `{"$version":1}`, desired: `{"$metadata":{},"$version":2}`},
		{name: "as written", tags: ` {"b": 1.50, "a": [true, null, "é"]} `, want: &enrollment.InitialTwin{Tags: json.RawMessage(`{"b":1.50,"a":[true,null,"é"]}`)}},
		{name: "what a read adds is dropped", desired: `{"rate":1,"$version":2,"$metadata":{"$lastUpdated":"x"}}`, want: &enrollment.InitialTwin{Desired: json.RawMessage(`{"rate":1}`)}},
		{name: "the greatest numbers", tags: `{"n":9007199254740992,"m":-9007199254740992,"f":1.7e308}`, want: &enrollment.InitialTwin{Tags: json.RawMessage(`{"n":9007199254740992,"m":-9007199254740992,"f":1.7e308}`)}},
		{name: "an integer that hubs don't keep", tags: `{"a":[9007199254740993]}`, fault: "initialTwin.tags.a[0]:number"},
		{name: "an integer of many digits", desired: `{"n":-123456789012345678901234567890}`, fault: "initialTwin.properties.desired.n:number"},
		{name: "an infinite number", tags: `{"n":1e999}`, fault: "initialTwin.tags.n:number"},
		{name: "reserved words are the operator's", tags: `{"version":1,"metadata":2,"count":3}`, want: &enrollment.InitialTwin{Tags: json.RawMessage(`{"version":1,"metadata":2,"count":3}`)}},
		{name: "a list", tags: `[]`, fault: "initialTwin.tags:type"},
		{name: "8 KB of tags", tags: `{"a":` + text(4096) + `,"b":` + text(4094) + `}`, want: &enrollment.InitialTwin{Tags: json.RawMessage(`{"a":` + text(4096) + `,"b":` + text(4094) + `}`)}},
		{name: "a byte more", tags: `{"a":` + text(4096) + `,"b":` + text(4095) + `}`, fault: "initialTwin.tags:size"},
		{name: "ten levels", tags: nested(10), want: &enrollment.InitialTwin{Tags: json.RawMessage(nested(10))}},
		{name: "eleven levels", tags: nested(11), fault: "initialTwin.tags" + strings.Repeat(".a", 10) + ":depth"},
		{name: "eleven levels of lists", desired: `{"a":` + strings.Repeat("[", 10) + strings.Repeat("]", 10) + `}`, fault: "initialTwin.properties.desired.a" + strings.Repeat("[0]", 9) + ":depth"},
		{name: "key within a list", tags: `{"a":[{"b.c":1}]}`, fault: "initialTwin.tags.a[0]:key"},
		{name: "empty key", tags: `{"":1}`, fault: "initialTwin.tags:key"},
		{name: "a dollar below the top", tags: `{"a":{"$version":1}}`, fault: "initialTwin.tags.a:key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}}
			e.InitialTwin = &enrollment.InitialTwin{Tags: json.RawMessage(tt.tags), Desired: json.RawMessage(tt.desired)}
			if got := fault(t, e.Check(surroundings())); got != tt.fault {
				t.Fatalf("fault %q, want %q", got, tt.fault)
			}
			if tt.fault != "" {
				return
			}
			if diff := cmp.Diff(tt.want, e.InitialTwin); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

// FuzzInitialTwin demands of any JSON: no panic, and what is accepted is accepted
// again, unchanged.
func FuzzInitialTwin(f *testing.F) {
	f.Add(`{"a":1}`, `{"$version":1,"b":{"c":[1,"x",null]}}`)
	f.Add(nested(10), `null`)
	f.Add(`{"a":1,"a":2}`, `{"\u0000":1}`)
	f.Fuzz(func(t *testing.T, tags, desired string) {
		e := enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{}}
		e.InitialTwin = &enrollment.InitialTwin{Tags: json.RawMessage(tags), Desired: json.RawMessage(desired)}
		if e.Check(enrollment.Surroundings{}) != nil || e.InitialTwin == nil {
			return
		}
		once := *e.InitialTwin
		if err := e.Check(enrollment.Surroundings{}); err != nil {
			t.Fatalf("the stored form is refused: %v", err)
		}
		if diff := cmp.Diff(&once, e.InitialTwin); diff != "" {
			t.Errorf("the stored form changed (-once +twice):\n%s", diff)
		}
	})
}
