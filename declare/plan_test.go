package declare_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

func storedScope() *admin.Scope {
	return &admin.Scope{IDScope: new("0neA"), HostNames: &[]string{"dps.example"}, AllocationPolicy: new("hashed"), Etag: new(`"s"`), Limits: &admin.Limits{Profile: new("unlimited")}}
}

func storedHub(name string) admin.LinkedHub {
	return admin.LinkedHub{
		Name: &name, Kind: new("azureiot"), AllocationWeight: new(1), ApplyAllocationPolicy: new(true), IdentityRate: new(0),
		GroupX509: new("thumbprint"), Adopt: new(true), Etag: new(`"h"`),
	}
}

func storedGroup(id string, change func(*service.EnrollmentGroup)) admin.EnrollmentGroup {
	g := service.EnrollmentGroup{
		EnrollmentGroupID: &id, Attestation: &service.AttestationMechanism{Type: new("symmetricKey")}, Etag: new(`"g"`),
		ProvisioningStatus: new("enabled"), Capabilities: &service.DeviceCapabilities{IotEdge: new(false)},
		ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: new(true), MigrateDeviceData: new(true)},
	}
	if change != nil {
		change(&g)
	}
	return admin.EnrollmentGroup{EnrollmentGroup: g}
}

func storedEnrollment(id, lot string) admin.Enrollment {
	e := admin.Enrollment{IndividualEnrollment: service.IndividualEnrollment{RegistrationID: &id, Attestation: &service.AttestationMechanism{Type: new("symmetricKey")}}}
	if lot != "" {
		e.Lot = &lot
	}
	return e
}

// TestPlan: what a file and a state come to.
func TestPlan(t *testing.T) {
	t.Parallel()
	const service0neA = "service: {idScope: 0neA}\n"
	for _, tt := range []struct {
		name   string
		file   string
		state  declare.State
		prune  bool
		differ []string // kind, name, member
		want   []string
	}{
		{
			name: "nothing is there", file: service0neA + "linkedHubs: [{name: h.example, connectionString: x, location: north}]\npolicies: [{keyName: p}]\n",
			want: []string{"create scope 0neA", "create linkedHub h.example location: north; connectionString: (secret)", "create policy p"},
		},
		{
			name: "settings that are left out stay", file: service0neA, state: declare.NewState(storedScope(), admin.IPFilter{}),
			want: []string{"unchanged scope 0neA"},
		},
		{
			name: "settings that differ", file: "service: {idScope: 0neA, hostNames: [DPS.example, b.example], allocationPolicy: GeoLatency, limits: {profile: azure}}\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}),
			want: []string{`update scope 0neA hostNames: ["dps.example"] -> ["dps.example","b.example"]; allocationPolicy: hashed -> geoLatency; ` +
				`limits: {"profile":"unlimited"} -> {"profile":"azure"}`},
		},
		{
			name: "a hub's members that are left out have their defaults", file: service0neA + "linkedHubs: [{name: H.example}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, func() admin.LinkedHub {
				h := storedHub("h.example")
				h.AllocationWeight, h.Location, h.Kind = new(7), new("north"), new("memory")
				return h
			}()),
			want: []string{"unchanged scope 0neA", "update linkedHub H.example location: north -> (none); allocationWeight: 7 -> 1"},
		},
		{
			name: "a secret that differs", file: service0neA + "linkedHubs: [{name: h.example, connectionString: x}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedHub("h.example")), differ: []string{"linkedHub", "h.example", "connectionString"},
			want: []string{"unchanged scope 0neA", "update linkedHub h.example connectionString: (secret)"},
		},
		{
			name: "letter case and order say nothing", file: service0neA + "enrollmentGroups: [{enrollmentGroupId: G, attestation: {type: SymmetricKey}, iotHubs: [b.Example, A.example], provisioningStatus: Disabled}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedGroup("g", func(g *service.EnrollmentGroup) {
				g.IotHubs, g.ProvisioningStatus = &[]string{"a.example", "b.example"}, new("disabled")
			})),
			want: []string{"unchanged scope 0neA", "unchanged enrollmentGroup G"},
		},
		{
			name: "an absent reprovision policy stays absent", file: service0neA + "enrollmentGroups: [{enrollmentGroupId: g, attestation: {type: symmetricKey}}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedGroup("g", func(g *service.EnrollmentGroup) { g.ReprovisionPolicy = nil })),
			want:  []string{"unchanged scope 0neA", "unchanged enrollmentGroup g"},
		},
		{
			name: "another one becomes the default", file: service0neA + "enrollmentGroups: [{enrollmentGroupId: g, attestation: {type: symmetricKey}}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedGroup("g", func(g *service.EnrollmentGroup) { g.ReprovisionPolicy.MigrateDeviceData = new(false) })),
			want: []string{"unchanged scope 0neA", `update enrollmentGroup g reprovisionPolicy: {"migrateDeviceData":false,"updateHubAssignment":true} -> ` +
				`{"migrateDeviceData":true,"updateHubAssignment":true}`},
		},
		{
			name: "a webhook's key is not shown", file: service0neA + "enrollmentGroups: [{enrollmentGroupId: g, attestation: {type: symmetricKey}, customAllocationDefinition: {webhookUrl: 'https://u:p@f.example/a?code=k', apiVersion: v}}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedGroup("g", nil)),
			want: []string{"unchanged scope 0neA", "update enrollmentGroup g customAllocationDefinition.webhookUrl: (none) -> https://f.example/a?…; " +
				"customAllocationDefinition.apiVersion: (none) -> v"},
		},
		{
			name: "a twin is compared as JSON", file: service0neA + "enrollmentGroups: [{enrollmentGroupId: g, attestation: {type: symmetricKey}, initialTwin: {tags: {b: 1, a: {x: [1, 2]}}, properties: {desired: {}}}}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedGroup("g", func(g *service.EnrollmentGroup) {
				g.InitialTwin = &service.InitialTwin{Tags: []byte(`{ "a": {"x":[1,2]}, "b":1 }`)}
			})),
			want: []string{"unchanged scope 0neA", "unchanged enrollmentGroup g"},
		},
		{
			name: "IP filters are compared as networks, in order", file: service0neA + "ipFilterRules: [{filterName: a, action: accept, ipMask: 10.9.9.9/8}, {filterName: b, action: Reject, ipMask: 0.0.0.0/0, target: ALL}]\n",
			state: declare.NewState(storedScope(), admin.IPFilter{Value: []admin.IPFilterRule{
				{FilterName: "a", Action: "Accept", IPMask: "10.0.0.0/8", Target: new("all")}, {FilterName: "b", Action: "Reject", IPMask: "0.0.0.0/0", Target: new("all")},
			}}),
			want: []string{"unchanged scope 0neA", "unchanged ipFilter 0neA"},
		},
		{
			name: "without prune nothing is deleted", file: service0neA + "linkedHubs: []\n",
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedHub("h.example")),
			want:  []string{"unchanged scope 0neA"},
		},
		{
			name: "pruning keeps to the kinds that are mentioned, and lets lots be", file: service0neA + "linkedHubs: [{name: k.example}]\nenrollments: []\n", prune: true,
			state: declare.NewState(storedScope(), admin.IPFilter{}, storedHub("h.example"), storedHub("k.example"), storedGroup("g", nil),
				storedEnrollment("one", ""), storedEnrollment("two", "lot")),
			want: []string{"unchanged scope 0neA", "unchanged linkedHub k.example", "delete enrollment one", "delete linkedHub h.example"},
		},
		{
			name: "a lot before its scope", file: service0neA + "enrollmentFiles: [{file: lot.csv, lot: one}]\n",
			want: []string{"create scope 0neA", "create enrollmentFile lot.csv"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.differ != nil {
				tt.state.Differ(declare.Kind(tt.differ[0]), tt.differ[1], tt.differ[2])
			}
			plan, err := planOf(tt.file, tt.state, tt.prune)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, steps(plan)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func planOf(file string, state declare.State, prune bool) (declare.Plan, error) {
	wanted, err := declare.Loader{ReadFile: func(string) ([]byte, error) { return []byte(file), nil }}.Load("f.yaml")
	if err != nil {
		return declare.Plan{}, err
	}
	return declare.New(wanted, []declare.State{state}, prune)
}

func steps(p declare.Plan) []string {
	var out []string
	for _, s := range p.Steps {
		text := fmt.Sprintf("%s %s %s", s.Action, s.Kind, s.Name)
		var changes []string
		for _, c := range s.Changes {
			changes = append(changes, c.String())
		}
		out = append(out, strings.TrimSpace(text+" "+strings.Join(changes, "; ")))
	}
	return out
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	many := []any{}
	for i := range 1001 {
		many = append(many, storedEnrollment(fmt.Sprintf("sn-%d", i), ""))
	}
	for _, tt := range []struct {
		name, file string
		state      declare.State
		want       string
	}{
		{"a hub without a credential", "linkedHubs:\n- name: h.example\n", declare.State{}, "f.yaml:3: linkedHub h.example is not linked yet: give connectionStringFrom"},
		{"an embedded hub that nobody runs", "linkedHubs:\n- embedded: h.example\n", declare.State{}, "f.yaml:3: linkedHub h.example is not linked: a deployment links its embedded hubs itself"},
		{"a certificate without one", "certificates:\n- name: c\n", declare.State{}, "f.yaml:3: certificate c is not there yet: give file or certificate"},
		{"the last policy", "policies: []\n", declare.NewState(storedScope(), admin.IPFilter{}, admin.Policy{KeyName: new("p")}), "shut the service API"},
		{"more than anybody means", "enrollments: []\n", declare.NewState(storedScope(), admin.IPFilter{}, many...), "more than 1000 enrollments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := planOf("service: {idScope: 0neA}\n"+tt.file, tt.state, true)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
