package cli

import (
	"fmt"
	"os"

	"github.com/zerotouch-dps/dps/openapi/service"
)

// credentialFlags say by what devices prove who they are; none: symmetric keys.
type credentialFlags struct {
	PrimaryKey           string   `placeholder:"KEY" help:"Symmetric key in base64; @FILE reads it from a file. Default: one is made."`
	SecondaryKey         string   `placeholder:"KEY" help:"The second symmetric key."`
	Certificate          string   `type:"existingfile" placeholder:"FILE" help:"PEM certificate: of the device, or of a group's CA."`
	SecondaryCertificate string   `type:"existingfile" placeholder:"FILE" help:"The second certificate."`
	CAReference          []string `name:"ca-reference" placeholder:"NAME" help:"CA certificate of the scope that signs the devices'; a second one may follow."`
}

// individual returns the attestation of one device.
func (f credentialFlags) individual(env *Env, endorsementKey string) (*service.AttestationMechanism, error) {
	if endorsementKey != "" {
		if f.PrimaryKey != "" || f.Certificate != "" || len(f.CAReference) > 0 {
			return nil, usagef("give one of --endorsement-key, --primary-key, --certificate and --ca-reference")
		}
		return &service.AttestationMechanism{Type: new("tpm"), Tpm: &service.TpmAttestation{EndorsementKey: &endorsementKey}}, nil
	}
	return f.mechanism(env, func(c *service.X509Certificates) service.X509Attestation {
		return service.X509Attestation{ClientCertificates: c}
	})
}

// group returns the attestation of a group's devices; issuers are of TPMs.
func (f credentialFlags) group(env *Env, issuers []string) (*service.AttestationMechanism, error) {
	if len(issuers) > 0 {
		if f.PrimaryKey != "" || f.Certificate != "" || len(f.CAReference) > 0 || len(issuers) > 2 {
			return nil, usagef("give one of --endorsement-issuer (twice at most), --primary-key, --certificate and --ca-reference")
		}
		return &service.AttestationMechanism{Type: new("tpm"), Tpm: &service.TpmAttestation{EndorsementIssuers: references(issuers)}}, nil
	}
	return f.mechanism(env, func(c *service.X509Certificates) service.X509Attestation {
		return service.X509Attestation{SigningCertificates: c}
	})
}

func (f credentialFlags) mechanism(env *Env, x509 func(*service.X509Certificates) service.X509Attestation) (*service.AttestationMechanism, error) {
	given := 0
	for _, set := range []bool{f.PrimaryKey+f.SecondaryKey != "", f.Certificate+f.SecondaryCertificate != "", len(f.CAReference) > 0} {
		if set {
			given++
		}
	}
	switch {
	case given > 1 || len(f.CAReference) > 2:
		return nil, usagef("give one of --primary-key, --certificate and --ca-reference")
	case f.Certificate+f.SecondaryCertificate != "":
		certificates := &service.X509Certificates{}
		var err error
		if certificates.Primary, err = certificateFile(f.Certificate); err != nil {
			return nil, err
		}
		certificates.Secondary, err = certificateFile(f.SecondaryCertificate)
		return x509Attestation(x509(certificates)), err
	case len(f.CAReference) > 0:
		return x509Attestation(service.X509Attestation{CaReferences: references(f.CAReference)}), nil
	}
	return f.symmetric(env)
}

// references takes one or two names of CA certificates.
func references(names []string) *service.X509CAReferences {
	refs := &service.X509CAReferences{Primary: &names[0]}
	if len(names) == 2 {
		refs.Secondary = &names[1]
	}
	return refs
}

func (f credentialFlags) symmetric(env *Env) (*service.AttestationMechanism, error) {
	keys := &service.SymmetricKeyAttestation{}
	for _, slot := range []struct {
		from string
		to   **string
	}{{f.PrimaryKey, &keys.PrimaryKey}, {f.SecondaryKey, &keys.SecondaryKey}} {
		text, err := secretText(env, slot.from)
		if err != nil {
			return nil, err
		}
		if text != "" {
			*slot.to = &text
		}
	}
	return &service.AttestationMechanism{Type: new("symmetricKey"), SymmetricKey: keys}, nil
}

func certificateFile(path string) (*service.X509CertificateWithInfo, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &service.X509CertificateWithInfo{Certificate: new(string(text))}, nil
}
