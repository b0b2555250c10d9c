package cli

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// madeKey is the value of a key flag that has a key made; emptySlot empties a slot.
const (
	madeKey   = "new"
	emptySlot = "none"
)

// rollFlags replace one credential of an entry, or both; what is not named stays.
type rollFlags struct {
	PrimaryKey           string `placeholder:"KEY" help:"The primary key from now on, in base64; @FILE reads it from a file, new makes one."`
	SecondaryKey         string `placeholder:"KEY" help:"The secondary key from now on."`
	Certificate          string `placeholder:"FILE" help:"PEM of the primary certificate from now on: of the device, or of a group's CA. none empties the slot."`
	SecondaryCertificate string `placeholder:"FILE" help:"The secondary certificate from now on, or none."`
	CAReference          string `name:"ca-reference" placeholder:"NAME" help:"The primary CA certificate of the scope from now on, or none."`
	SecondaryCAReference string `name:"secondary-ca-reference" placeholder:"NAME" help:"The secondary one, or none."`
	IfMatch              string `placeholder:"ETAG" help:"Fail unless the entry still has this etag."`
}

// apply changes a mechanism as it was read, with its keys masked.
func (f rollFlags) apply(env *Env, m *service.AttestationMechanism) error {
	switch {
	case m == nil:
		return usagef("the entry has no credential to roll")
	case f.PrimaryKey+f.SecondaryKey != "":
		return f.applyKeys(env, m)
	case f.Certificate+f.SecondaryCertificate != "":
		return f.applyCertificates(m)
	case f.CAReference+f.SecondaryCAReference != "":
		return f.applyReferences(m)
	}
	return usagef("say what is new: --primary-key, --certificate or --ca-reference, or their --secondary- likes")
}

func (f rollFlags) applyKeys(env *Env, m *service.AttestationMechanism) error {
	if show(m.Type) != "symmetricKey" {
		return usagef("the entry has no symmetric keys; its attestation is %s", show(m.Type))
	}
	m.SymmetricKey = &service.SymmetricKeyAttestation{} // a key that is not sent stays
	for _, slot := range []struct {
		from string
		to   **string
	}{{f.PrimaryKey, &m.SymmetricKey.PrimaryKey}, {f.SecondaryKey, &m.SymmetricKey.SecondaryKey}} {
		text, err := f.key(env, slot.from)
		if err != nil {
			return err
		}
		if text != "" {
			*slot.to = &text
		}
	}
	return nil
}

func (f rollFlags) key(env *Env, text string) (string, error) {
	if text != madeKey {
		return secretText(env, text)
	}
	key, err := newKey(env.Rand)
	return key.Reveal(), err
}

func (f rollFlags) applyCertificates(m *service.AttestationMechanism) error {
	var slots *service.X509Certificates
	if m.X509 != nil {
		if slots = m.X509.ClientCertificates; slots == nil {
			slots = m.X509.SigningCertificates
		}
	}
	if slots == nil {
		return usagef("the entry has no certificates; its attestation is %s", show(m.Type))
	}
	for _, slot := range []struct {
		from string
		to   **service.X509CertificateWithInfo
	}{{f.Certificate, &slots.Primary}, {f.SecondaryCertificate, &slots.Secondary}} {
		switch slot.from {
		case "":
		case emptySlot:
			*slot.to = nil
		default:
			cert, err := certificateFile(slot.from)
			if err != nil {
				return err
			}
			*slot.to = cert
		}
	}
	return nil
}

func (f rollFlags) applyReferences(m *service.AttestationMechanism) error {
	if m.X509 == nil || m.X509.CaReferences == nil {
		return usagef("the entry refers to no CA certificates; its attestation is %s", show(m.Type))
	}
	for _, slot := range []struct {
		from string
		to   **string
	}{{f.CAReference, &m.X509.CaReferences.Primary}, {f.SecondaryCAReference, &m.X509.CaReferences.Secondary}} {
		switch slot.from {
		case "":
		case emptySlot:
			*slot.to = nil
		default:
			*slot.to = &slot.from
		}
	}
	return nil
}

type enrollmentRollCmd struct {
	ID             string `arg:"" name:"registration-id" help:"Registration ID."`
	EndorsementKey string `placeholder:"BASE64" help:"Of the device's new TPM."`
	rollFlags
	scopeFlags
}

// Help shows how.
func (enrollmentRollCmd) Help() string {
	return "What is not named stays; see docs/key-rolls.md for the order of steps.\nExamples:\n  dps enrollment roll sn-1 --secondary-key new\n" +
		"  dps enrollment roll sn-2 --secondary-certificate renewed.pem\n  dps enrollment roll sn-2 --certificate renewed.pem --secondary-certificate none"
}

// Run rolls, on the version that was read.
func (c enrollmentRollCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	e, err := a.Enrollment(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if c.EndorsementKey != "" {
		e.Attestation = &service.AttestationMechanism{Type: new("tpm"), Tpm: &service.TpmAttestation{EndorsementKey: &c.EndorsementKey}}
	} else if err := c.apply(env, e.Attestation); err != nil {
		return err
	}
	if _, err = a.PutEnrollment(ctx, scope, c.ID, e, client.IfMatch(first(c.IfMatch, show(e.Etag)))); err != nil {
		return err
	}
	return enrollmentShowCmd{c.ID, e.Attestation.SymmetricKey != nil, c.scopeFlags}.Run(ctx, env)
}

type groupRollCmd struct {
	ID string `arg:"" name:"group" help:"Enrollment group ID."`
	rollFlags
	scopeFlags
}

// Help shows how.
func (groupRollCmd) Help() string {
	return "What is not named stays; see docs/key-rolls.md for the order of steps.\nExamples:\n  dps group roll line-1 --primary-key new\n" +
		"  dps group roll line-2 --secondary-ca-reference factory-2026\n  dps group roll line-2 --ca-reference factory-2026 --secondary-ca-reference none"
}

// Run rolls, on the version that was read.
func (c groupRollCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	g, err := a.EnrollmentGroup(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if err := c.apply(env, g.Attestation); err != nil {
		return err
	}
	if _, err = a.PutEnrollmentGroup(ctx, scope, c.ID, g, client.IfMatch(first(c.IfMatch, show(g.Etag)))); err != nil {
		return err
	}
	return groupShowCmd{c.ID, g.Attestation.SymmetricKey != nil, c.scopeFlags}.Run(ctx, env)
}

type groupDeviceKeyCmd struct {
	ID             string `arg:"" name:"group" help:"Enrollment group ID."`
	RegistrationID string `arg:"" name:"registration-id" help:"Registration ID, in the letter case in which the device sends it."`
	scopeFlags
}

// Run derives a device's keys. That the group's were read leaves an audit record.
func (c groupDeviceKeyCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := a.EnrollmentGroupKeys(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if m.SymmetricKey == nil {
		return usagef("the group's devices have no symmetric keys; its attestation is %s", show(m.Type))
	}
	for _, slot := range []**string{&m.SymmetricKey.PrimaryKey, &m.SymmetricKey.SecondaryKey} {
		key, err := attestation.DeriveDeviceKey(dps.NewSecret(show(*slot)), c.RegistrationID)
		if err != nil {
			return err
		}
		*slot = new(key.Reveal())
	}
	return printOne(env, c.Output, m, keyColumns(func(m service.AttestationMechanism) *service.AttestationMechanism { return &m }))
}
