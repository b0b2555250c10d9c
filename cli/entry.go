package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

type enrollmentCmd struct {
	List    enrollmentListCmd    `cmd:"" help:"Find individual enrollments."`
	Show    enrollmentShowCmd    `cmd:"" help:"Show an individual enrollment."`
	Create  enrollmentCreateCmd  `cmd:"" help:"Create an individual enrollment."`
	Update  enrollmentUpdateCmd  `cmd:"" help:"Change an individual enrollment."`
	Roll    enrollmentRollCmd    `cmd:"" help:"Replace one key or certificate of an individual enrollment."`
	Delete  enrollmentDeleteCmd  `cmd:"" help:"Delete an individual enrollment; its registration record stays."`
	Explain enrollmentExplainCmd `cmd:"" help:"Say what would become of the enrollment's device, were it who it claims to be."`
	Import  enrollmentImportCmd  `cmd:"" help:"Import a file of individual enrollments, NDJSON or CSV, of any length."`
	Export  enrollmentExportCmd  `cmd:"" help:"Export the individual enrollments, as a file that can be imported."`
}

func enrollmentColumns() []column[admin.Enrollment] {
	return []column[admin.Enrollment]{
		{"REGISTRATION ID", func(e admin.Enrollment) string { return show(e.RegistrationID) }},
		{"STATUS", func(e admin.Enrollment) string { return show(e.ProvisioningStatus) }},
		{"ATTESTATION", func(e admin.Enrollment) string { return kindOf(e.Attestation) }},
		{"DEVICE ID", func(e admin.Enrollment) string { return show(e.DeviceID) }},
		{"HUBS", func(e admin.Enrollment) string { return joined(e.IotHubs) }},
		{"LOT", func(e admin.Enrollment) string { return show(e.Lot) }},
		{"REGISTRATION", func(e admin.Enrollment) string { return stateOf(e.RegistrationState) }},
		{"UPDATED", func(e admin.Enrollment) string { return day(e.LastUpdatedDateTimeUtc) }},
	}
}

func kindOf(m *service.AttestationMechanism) string {
	if m == nil {
		return ""
	}
	return show(m.Type)
}

func stateOf(r *service.DeviceRegistrationState) string {
	if r == nil {
		return ""
	}
	return show(r.Status)
}

type enrollmentListCmd struct {
	entryFlags
	scopeFlags
}

// Help shows how.
func (enrollmentListCmd) Help() string {
	return "Examples:\n  dps enrollment list --status disabled\n  dps enrollment list --id-prefix sn-4 --sort created --desc --limit 20\n  dps enrollment list --tag site.line=7 -o json\n  dps enrollment list --attestation tpm --count"
}

// Run lists.
func (c enrollmentListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	return list(env, c.listFlags, c.Output, c.query(), enrollmentColumns(), func(q url.Values) (page[admin.Enrollment], error) {
		p, err := a.Enrollments(ctx, scope, q)
		return page[admin.Enrollment]{p.Value, p.Continuation, counted(p.Count)}, err
	})
}

func counted(c *admin.ResultCount) *resultCount {
	if c == nil {
		return nil
	}
	return &resultCount{c.Value, c.Approximate}
}

type enrollmentShowCmd struct {
	ID   string `arg:"" name:"registration-id" help:"Registration ID."`
	Keys bool   `help:"Show the symmetric keys, too. Leaves an audit record."`
	scopeFlags
}

// Run shows one.
func (c enrollmentShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	e, err := a.Enrollment(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if c.Keys {
		keys, err := a.EnrollmentKeys(ctx, scope, c.ID)
		if err != nil {
			return err
		}
		e.Attestation = &keys
	}
	return printOne(env, c.Output, e, append(enrollmentDetails(), keyColumns(func(e admin.Enrollment) *service.AttestationMechanism { return e.Attestation })...))
}

// keyColumns are lines for revealed keys; masked ones give none.
func keyColumns[T any](mechanism func(T) *service.AttestationMechanism) []column[T] {
	key := func(one T, pick func(*service.SymmetricKeyAttestation) *string) string {
		if m := mechanism(one); m != nil && m.SymmetricKey != nil {
			return show(pick(m.SymmetricKey))
		}
		return ""
	}
	return []column[T]{
		{"PRIMARY KEY", func(one T) string {
			return key(one, func(k *service.SymmetricKeyAttestation) *string { return k.PrimaryKey })
		}},
		{"SECONDARY KEY", func(one T) string {
			return key(one, func(k *service.SymmetricKeyAttestation) *string { return k.SecondaryKey })
		}},
	}
}

type enrollmentCreateCmd struct {
	ID             string  `arg:"" name:"registration-id" help:"Registration ID; of an X.509 device its certificate's common name."`
	EndorsementKey string  `placeholder:"BASE64" help:"Of a TPM device."`
	DeviceID       *string `placeholder:"ID" help:"Device ID in the hub. Default: the registration ID."`
	credentialFlags
	settingFlags
	scopeFlags
}

// Help shows how.
func (enrollmentCreateCmd) Help() string {
	return "Without a credential, symmetric keys are made and printed.\nExamples:\n  dps enrollment create sn-1\n  dps enrollment create sn-2 --certificate sn-2.pem --hub hub1.example --tags '{\"site\":\"east\"}'"
}

// Run creates, and refuses when the ID is taken.
func (c enrollmentCreateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	var e admin.Enrollment
	if e.Attestation, err = c.individual(env, c.EndorsementKey); err != nil {
		return err
	}
	e.DeviceID = c.DeviceID
	if err := c.apply(settingsOf(&e.IndividualEnrollment)); err != nil {
		return err
	}
	made, err := a.PutEnrollment(ctx, scope, c.ID, e, client.CreateOnly())
	if err != nil {
		return taken(err, "enrollment", c.ID, "dps enrollment update changes it")
	}
	if made.Attestation != nil && show(made.Attestation.Type) == "symmetricKey" {
		return enrollmentShowCmd{c.ID, true, c.scopeFlags}.Run(ctx, env)
	}
	return printOne(env, c.Output, made, enrollmentDetails())
}

type enrollmentUpdateCmd struct {
	ID       string  `arg:"" name:"registration-id" help:"Registration ID."`
	DeviceID *string `placeholder:"ID" help:"Device ID in the hub."`
	settingFlags
	IfMatch string `placeholder:"ETAG" help:"Fail unless the enrollment still has this etag."`
	scopeFlags
}

// Help shows how.
func (enrollmentUpdateCmd) Help() string {
	return "What is not named stays as it is.\nExample:\n  dps enrollment update sn-1 --disable"
}

// Run changes what is given, on the version that was read.
func (c enrollmentUpdateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	e, err := a.Enrollment(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if c.DeviceID != nil {
		e.DeviceID = c.DeviceID
	}
	if err := c.apply(settingsOf(&e.IndividualEnrollment)); err != nil {
		return err
	}
	e, err = a.PutEnrollment(ctx, scope, c.ID, e, client.IfMatch(first(c.IfMatch, show(e.Etag))))
	if err != nil {
		return err
	}
	return printOne(env, c.Output, e, enrollmentDetails())
}

type enrollmentDeleteCmd struct {
	ID      string `arg:"" name:"registration-id" help:"Registration ID."`
	IfMatch string `placeholder:"ETAG" help:"Fail unless the enrollment still has this etag."`
	scopeFlags
}

// Run deletes.
func (c enrollmentDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteEnrollment(ctx, scope, c.ID, client.IfMatch(c.IfMatch)); err != nil {
		return err
	}
	say(env.Stderr, "Deleted enrollment %s.", c.ID)
	return nil
}

type enrollmentExplainCmd struct {
	ID string `arg:"" name:"registration-id" help:"Registration ID."`
	scopeFlags
}

// Run explains.
func (c enrollmentExplainCmd) Run(ctx context.Context, env *Env) error {
	return explain(ctx, env, c.scopeFlags, admin.ExplainRequest{RegistrationID: &c.ID})
}

// settingFlags are what create and update set of either kind of entry; absent ones stay
// as they are.
type settingFlags struct {
	Enable           bool     `xor:"status" help:"Let devices in."`
	Disable          bool     `xor:"status" help:"Refuse devices."`
	Hub              []string `placeholder:"HOST" help:"Linked hub that devices may be put on; repeat for several. Default: every one."`
	AllocationPolicy *string  `placeholder:"POLICY" help:"hashed, geoLatency, static, custom or capacity."`
	WebhookURL       *string  `name:"webhook-url" placeholder:"URL" help:"Webhook of the allocation policy custom; it may bear a key in its query."`
	WebhookVersion   string   `name:"webhook-api-version" default:"2021-10-01" help:"Version in which it is asked."`
	Rule             *string  `placeholder:"EXPRESSION" help:"Expression (CEL) over device, payload, enrollment and hub that narrows the hubs; an empty text takes it away."`
	Reprovision      string   `enum:",migrate,reset,never" default:"" help:"When a device registers again: migrate its data, reset it, or never move it."`
	Tags             string   `placeholder:"JSON" help:"Tags of the initial twin."`
	Desired          string   `placeholder:"JSON" help:"Desired properties of the initial twin."`
	IotEdge          *bool    `negatable:"" help:"Make devices edge devices."`
	Residency        *string  `placeholder:"TAG" help:"Only hubs with this residency tag take the devices; empty: any."`
}

// entrySettings are the members that both kinds of entries have.
type entrySettings struct {
	status, allocation, rule **string

	custom       **service.CustomAllocationDefinition
	hubs         **[]string
	twin         **service.InitialTwin
	reprovision  **service.ReprovisionPolicy
	capabilities **service.DeviceCapabilities
	residency    **string
}

func settingsOf(e *service.IndividualEnrollment) entrySettings {
	return entrySettings{&e.ProvisioningStatus, &e.AllocationPolicy, &e.AllocationRule, &e.CustomAllocationDefinition, &e.IotHubs, &e.InitialTwin, &e.ReprovisionPolicy, &e.Capabilities, &e.Residency}
}

func settingsOfGroup(g *service.EnrollmentGroup) entrySettings {
	return entrySettings{&g.ProvisioningStatus, &g.AllocationPolicy, &g.AllocationRule, &g.CustomAllocationDefinition, &g.IotHubs, &g.InitialTwin, &g.ReprovisionPolicy, &g.Capabilities, &g.Residency}
}

// apply sets what is given.
func (f settingFlags) apply(s entrySettings) error {
	switch {
	case f.Enable:
		*s.status = new("enabled")
	case f.Disable:
		*s.status = new("disabled")
	}
	if len(f.Hub) > 0 {
		*s.hubs = &f.Hub
	}
	if f.AllocationPolicy != nil {
		*s.allocation = f.AllocationPolicy
	}
	if f.WebhookURL != nil {
		*s.custom = &service.CustomAllocationDefinition{WebhookURL: f.WebhookURL, APIVersion: &f.WebhookVersion}
	}
	if f.Rule != nil {
		*s.rule = f.Rule
	}
	if f.Reprovision != "" {
		*s.reprovision = &service.ReprovisionPolicy{UpdateHubAssignment: new(f.Reprovision != "never"), MigrateDeviceData: new(f.Reprovision == "migrate")}
	}
	if f.IotEdge != nil {
		*s.capabilities = &service.DeviceCapabilities{IotEdge: f.IotEdge}
	}
	if f.Residency != nil {
		*s.residency = f.Residency
	}
	if err := f.checkPolicy(s); err != nil {
		return err
	}
	return f.applyTwin(s.twin)
}

// checkPolicy names the flag that the policy custom needs; the server would name the APIs'
// member.
func (f settingFlags) checkPolicy(s entrySettings) error {
	if strings.EqualFold(show(f.AllocationPolicy), "custom") && *s.custom == nil {
		return usagef("--allocation-policy custom takes --webhook-url")
	}
	return nil
}

func (f settingFlags) applyTwin(twin **service.InitialTwin) error {
	for name, text := range map[string]string{"--tags": f.Tags, "--desired": f.Desired} {
		if text != "" && !json.Valid([]byte(text)) {
			return usagef("%s is not JSON", name)
		}
	}
	if f.Tags == "" && f.Desired == "" {
		return nil
	}
	if *twin == nil {
		*twin = &service.InitialTwin{}
	}
	if f.Tags != "" {
		(*twin).Tags = json.RawMessage(f.Tags)
	}
	if f.Desired != "" {
		(*twin).Properties = &service.InitialTwinProperties{Desired: json.RawMessage(f.Desired)}
	}
	return nil
}
