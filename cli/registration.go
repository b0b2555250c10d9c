package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type registrationCmd struct {
	List    registrationListCmd    `cmd:"" help:"Find registration records."`
	Show    registrationShowCmd    `cmd:"" help:"Show a registration record."`
	History registrationHistoryCmd `cmd:"" help:"Show the last attempts of a device, and why each went as it did."`
	Explain enrollmentExplainCmd   `cmd:"" help:"Say what would become of a device that is who it claims to be, and why it was turned away."`
	Delete  registrationDeleteCmd  `cmd:"" help:"Delete a registration record; the device stays in its hub."`
	Forget  registrationForgetCmd  `cmd:"" help:"Delete a registration record and the device in its hub."`

	Deprovision registrationDeprovisionCmd `cmd:"" help:"Keep a device out and remove it from its hub; its record stays."`
	Reprovision registrationReprovisionCmd `cmd:"" help:"Let a deprovisioned device in again."`
}

func registrationColumns() []column[admin.Registration] {
	return []column[admin.Registration]{
		{"REGISTRATION ID", func(r admin.Registration) string { return r.RegistrationID }},
		{"STATUS", func(r admin.Registration) string { return r.Status }},
		{"HUB", func(r admin.Registration) string { return show(r.AssignedHub) }},
		{"DEVICE ID", func(r admin.Registration) string { return show(r.DeviceID) }},
		{"ENROLLMENT", func(r admin.Registration) string { return entryOf(r.Enrollment) }},
		{"ERROR", func(r admin.Registration) string { return errorOf(r.ErrorCode, r.ErrorMessage) }},
		{"UPDATED", func(r admin.Registration) string { return show(r.LastUpdatedDateTimeUtc) }},
	}
}

func entryOf(ref *admin.EnrollmentRef) string {
	switch {
	case ref == nil:
		return ""
	case ref.Group != nil:
		return "group " + *ref.Group
	}
	return "individual " + show(ref.Individual)
}

func errorOf(code *int, message *string) string {
	if code == nil {
		return ""
	}
	return strconv.Itoa(*code) + " " + show(message)
}

type registrationListCmd struct {
	Status    string `enum:",unassigned,assigning,assigned,failed,disabled" default:"" help:"assigning, assigned, failed or disabled."`
	Group     string `help:"Only devices that last registered through this group."`
	Hub       string `placeholder:"HOST" help:"Only devices that are assigned to this hub."`
	ErrorCode string `placeholder:"CODE" help:"Only devices that were told these six digits."`
	listFlags
	scopeFlags
}

// Help shows how.
func (registrationListCmd) Help() string {
	return "Examples:\n  dps registration list --status failed\n  dps registration list --group line-3 --count\n  dps registration list --sort updated --desc --limit 20"
}

// Run lists.
func (c registrationListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	q := c.query(map[string]string{"status": c.Status, "group": c.Group, "hub": c.Hub, "errorCode": c.ErrorCode})
	return list(env, c.listFlags, c.Output, q, registrationColumns(), func(q url.Values) (page[admin.Registration], error) {
		p, err := a.Registrations(ctx, scope, q)
		return page[admin.Registration]{p.Value, p.Continuation, counted(p.Count)}, err
	})
}

type registrationShowCmd struct {
	ID string `arg:"" name:"registration-id" help:"Registration ID."`
	scopeFlags
}

// Run shows one.
func (c registrationShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	r, err := a.Registration(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, r, append(registrationColumns(), []column[admin.Registration]{
		{"ATTESTATION", func(r admin.Registration) string { return show(r.Attestation) }},
		{"SUBSTATUS", func(r admin.Registration) string { return show(r.Substatus) }},
		{"OPERATION", func(r admin.Registration) string { return show(r.OperationID) }},
		{"DECISION", func(r admin.Registration) string { return rawText(r.Decision) }},
	}...))
}

func rawText[T ~[]byte](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

type registrationHistoryCmd struct {
	ID string `arg:"" name:"registration-id" help:"Registration ID."`
	scopeFlags
}

func attemptColumns() []column[admin.RegistrationAttempt] {
	return []column[admin.RegistrationAttempt]{
		{"ATTEMPT", func(t admin.RegistrationAttempt) string { return strconv.FormatInt(t.Attempt, 10) }},
		{"ENDED", func(t admin.RegistrationAttempt) string { return show(t.EndedDateTimeUtc) }},
		{"STATUS", func(t admin.RegistrationAttempt) string { return t.Status }},
		{"HUB", func(t admin.RegistrationAttempt) string { return show(t.AssignedHub) }},
		{"ENROLLMENT", func(t admin.RegistrationAttempt) string { return entryOf(t.Enrollment) }},
		{"ERROR", func(t admin.RegistrationAttempt) string { return errorOf(t.ErrorCode, t.ErrorMessage) }},
		{"DECISION", func(t admin.RegistrationAttempt) string { return rawText(t.Decision) }},
	}
}

// Run shows the attempts.
func (c registrationHistoryCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	r, err := a.Registration(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	attempts := []admin.RegistrationAttempt{}
	if r.History != nil {
		attempts = *r.History
	}
	return printList(env, c.Output, attempts, attemptColumns())
}

type registrationDeleteCmd struct {
	ID      string `arg:"" name:"registration-id" help:"Registration ID."`
	IfMatch string `placeholder:"ETAG" help:"Fail unless the record still has this etag."`
	scopeFlags
}

// Run deletes.
func (c registrationDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteRegistration(ctx, scope, c.ID, client.IfMatch(c.IfMatch)); err != nil {
		return err
	}
	say(env.Stderr, "Deleted the registration record of %s; the device stays in its hub.", c.ID)
	return nil
}

type registrationForgetCmd struct {
	ID      string `arg:"" name:"registration-id" help:"Registration ID."`
	KeepHub bool   `name:"keep-hub-identity" help:"Leave the device in its hub."`
	IfMatch string `placeholder:"ETAG" help:"Fail unless the record still has this etag."`
	scopeFlags
}

// Run forgets.
func (c registrationForgetCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	unlinked, err := unlinkedHub(ctx, a, scope, c.ID) // the record can't be asked afterwards
	if err != nil {
		return err
	}
	if err := a.ForgetRegistration(ctx, scope, c.ID, !c.KeepHub, client.IfMatch(c.IfMatch)); err != nil {
		return err
	}
	switch {
	case c.KeepHub:
		say(env.Stderr, "Forgot %s; the device stays in its hub.", c.ID)
	case unlinked != "":
		say(env.Stderr, "Forgot %s; the device stays in %s, which is not linked any more. Remove it there by hand.", c.ID, unlinked)
	default:
		say(env.Stderr, "Forgot %s; the device is removed from its hub as soon as that answers.", c.ID)
	}
	return nil
}

// unlinkedHub returns the hub of a device if it is not linked any more, for dps can't remove
// the device there.
func unlinkedHub(ctx context.Context, a *client.Admin, scope, id string) (string, error) {
	record, err := a.Registration(ctx, scope, id)
	if err != nil || record.AssignedHub == nil {
		return "", err
	}
	_, err = a.Hub(ctx, scope, *record.AssignedHub)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusNotFound {
		return *record.AssignedHub, nil
	}
	return "", err
}

type refusalCmd struct {
	List refusalListCmd `cmd:"" help:"List devices that were turned away without a proof, newest first, with the reason that they are not told."`
}

type refusalListCmd struct {
	RegistrationID string `name:"registration-id" placeholder:"ID" help:"Only of this device."`
	Limit          int    `default:"100" placeholder:"N" help:"At most so many; the last 4096 are kept."`
	scopeFlags
}

// Run lists.
func (c refusalListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	found, err := a.Refusals(ctx, scope, c.RegistrationID, c.Limit)
	if err != nil {
		return err
	}
	return printList(env, c.Output, found, []column[admin.Refusal]{
		{"TIME", func(r admin.Refusal) string { return show(r.Time) }},
		{"REGISTRATION ID", func(r admin.Refusal) string { return r.RegistrationID }},
		{"ATTESTATION", func(r admin.Refusal) string { return show(r.Attestation) }},
		{"REASON", func(r admin.Refusal) string { return r.Reason }},
		{"FROM", func(r admin.Refusal) string { return show(r.RemoteAddress) }},
	})
}
