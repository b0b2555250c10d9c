package cli

import (
	"context"
	"net/url"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

type groupCmd struct {
	List      groupListCmd      `cmd:"" help:"Find enrollment groups."`
	Show      groupShowCmd      `cmd:"" help:"Show an enrollment group."`
	Create    groupCreateCmd    `cmd:"" help:"Create an enrollment group."`
	Update    groupUpdateCmd    `cmd:"" help:"Change an enrollment group."`
	Roll      groupRollCmd      `cmd:"" help:"Replace one key or CA certificate of an enrollment group."`
	DeviceKey groupDeviceKeyCmd `cmd:"" help:"Print the keys that a symmetric-key group derives for a device. Leaves an audit record."`
	Delete    groupDeleteCmd    `cmd:"" help:"Delete an enrollment group; the records of its devices stay."`
}

func groupColumns() []column[admin.EnrollmentGroup] {
	return []column[admin.EnrollmentGroup]{
		{"GROUP", func(g admin.EnrollmentGroup) string { return show(g.EnrollmentGroupID) }},
		{"STATUS", func(g admin.EnrollmentGroup) string { return show(g.ProvisioningStatus) }},
		{"ATTESTATION", func(g admin.EnrollmentGroup) string { return kindOf(g.Attestation) }},
		{"ID PREFIX", func(g admin.EnrollmentGroup) string { return show(g.RegistrationIDPrefix) }},
		{"HUBS", func(g admin.EnrollmentGroup) string { return joined(g.IotHubs) }},
		{"ALLOCATION", func(g admin.EnrollmentGroup) string { return show(g.AllocationPolicy) }},
		{"UPDATED", func(g admin.EnrollmentGroup) string { return day(g.LastUpdatedDateTimeUtc) }},
	}
}

type expiredFlag struct {
	AcceptExpired *bool `name:"accept-expired" negatable:"" help:"Admit devices whose own certificate, or that of whose TPM, has expired."`
}

type groupListCmd struct {
	entryFlags
	scopeFlags
}

// Run lists.
func (c groupListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	return list(env, c.listFlags, c.Output, c.query(), groupColumns(), func(q url.Values) (page[admin.EnrollmentGroup], error) {
		p, err := a.EnrollmentGroups(ctx, scope, q)
		return page[admin.EnrollmentGroup]{p.Value, p.Continuation, counted(p.Count)}, err
	})
}

type groupShowCmd struct {
	ID   string `arg:"" name:"group" help:"Enrollment group ID."`
	Keys bool   `help:"Show the symmetric keys, too. Leaves an audit record."`
	scopeFlags
}

// Run shows one.
func (c groupShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	g, err := a.EnrollmentGroup(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if c.Keys {
		keys, err := a.EnrollmentGroupKeys(ctx, scope, c.ID)
		if err != nil {
			return err
		}
		g.Attestation = &keys
	}
	return printOne(env, c.Output, g, append(groupDetails(), keyColumns(func(g admin.EnrollmentGroup) *service.AttestationMechanism { return g.Attestation })...))
}

type groupCreateCmd struct {
	ID                string   `arg:"" name:"group" help:"Enrollment group ID."`
	RegistrationID    *string  `name:"registration-id-prefix" placeholder:"TEXT" help:"Beginning of the IDs of a symmetric-key group's devices."`
	EndorsementIssuer []string `placeholder:"NAME" help:"CA certificate of the scope under which TPMs have their endorsement certificates; a second one may follow."`
	expiredFlag
	credentialFlags
	settingFlags
	scopeFlags
}

// Help shows how.
func (groupCreateCmd) Help() string {
	return "Without a credential, symmetric keys are made and printed.\nExamples:\n  dps group create line-3 --ca-reference factory-root\n  dps group create line-4 --registration-id-prefix l4-\n  dps group create gateways --endorsement-issuer tpm-root"
}

// Run creates, and refuses when the ID is taken.
func (c groupCreateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	var g admin.EnrollmentGroup
	if g.Attestation, err = c.group(env, c.EndorsementIssuer); err != nil {
		return err
	}
	g.RegistrationIDPrefix, g.AcceptExpiredCertificates = c.RegistrationID, c.AcceptExpired
	if err := c.apply(settingsOfGroup(&g.EnrollmentGroup)); err != nil {
		return err
	}
	made, err := a.PutEnrollmentGroup(ctx, scope, c.ID, g, client.CreateOnly())
	if err != nil {
		return taken(err, "group", c.ID, "dps group update changes it")
	}
	if kindOf(made.Attestation) == "symmetricKey" {
		return groupShowCmd{c.ID, true, c.scopeFlags}.Run(ctx, env)
	}
	return printOne(env, c.Output, made, groupDetails())
}

type groupUpdateCmd struct {
	ID string `arg:"" name:"group" help:"Enrollment group ID."`
	expiredFlag
	settingFlags
	IfMatch string `placeholder:"ETAG" help:"Fail unless the group still has this etag."`
	scopeFlags
}

// Run changes what is given, on the version that was read.
func (c groupUpdateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	g, err := a.EnrollmentGroup(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if err := c.apply(settingsOfGroup(&g.EnrollmentGroup)); err != nil {
		return err
	}
	if c.AcceptExpired != nil {
		g.AcceptExpiredCertificates = c.AcceptExpired
	}
	g, err = a.PutEnrollmentGroup(ctx, scope, c.ID, g, client.IfMatch(first(c.IfMatch, show(g.Etag))))
	if err != nil {
		return err
	}
	return printOne(env, c.Output, g, groupDetails())
}

type groupDeleteCmd struct {
	ID      string `arg:"" name:"group" help:"Enrollment group ID."`
	IfMatch string `placeholder:"ETAG" help:"Fail unless the group still has this etag."`
	scopeFlags
}

// Run deletes.
func (c groupDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteEnrollmentGroup(ctx, scope, c.ID, client.IfMatch(c.IfMatch)); err != nil {
		return err
	}
	say(env.Stderr, "Deleted enrollment group %s.", c.ID)
	return nil
}
