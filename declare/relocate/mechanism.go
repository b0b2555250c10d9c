package relocate

import (
	"context"
	"strings"

	"github.com/zerotouch-dps/dps/openapi/service"
)

// unmovable says why an entry can't be moved.
type unmovable struct{ reason string }

// Error returns the reason.
func (u unmovable) Error() string { return u.reason }

// mechanism completes what a list tells of an attestation mechanism: by what the
// original reveals, and by the certificates that are at hand.
func (r *run) mechanism(ctx context.Context, listed *service.AttestationMechanism, reveal func() (service.AttestationMechanism, error)) (*service.AttestationMechanism, error) {
	if listed == nil || listed.Type == nil {
		return nil, unmovable{"it has no attestation mechanism"}
	}
	m := *listed
	if !told(m) {
		err := r.patiently(ctx, func() (err error) {
			m, err = reveal()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if m.X509 == nil {
		return &m, nil
	}
	x := *m.X509
	m.X509 = &x
	for _, member := range []struct {
		slots **service.X509Certificates
		whole bool // a thumbprint is not enough: it is to verify signatures
	}{{&x.ClientCertificates, false}, {&x.SigningCertificates, true}} {
		var err error
		if *member.slots, err = r.certificates(*member.slots, member.whole); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

// told reports whether a mechanism is whole as it is listed: keys are masked there, and
// some services mask endorsement keys, too.
func told(m service.AttestationMechanism) bool {
	switch strings.ToLower(value(m.Type)) {
	case "symmetrickey":
		return m.SymmetricKey != nil && value(m.SymmetricKey.PrimaryKey) != "" && value(m.SymmetricKey.SecondaryKey) != ""
	case "tpm":
		return m.Tpm != nil && value(m.Tpm.EndorsementKey) != ""
	}
	return true
}

func (r *run) certificates(m *service.X509Certificates, whole bool) (*service.X509Certificates, error) {
	if m == nil || m.Primary == nil && m.Secondary == nil {
		return nil, nil
	}
	primary, err := r.certificate(m.Primary, whole)
	if err != nil {
		return nil, err
	}
	secondary, err := r.certificate(m.Secondary, whole)
	return &service.X509Certificates{Primary: primary, Secondary: secondary}, err
}

func (r *run) certificate(m *service.X509CertificateWithInfo, whole bool) (*service.X509CertificateWithInfo, error) {
	if m == nil || m.Info == nil && value(m.Certificate) == "" {
		return nil, nil
	}
	if value(m.Certificate) != "" {
		return &service.X509CertificateWithInfo{Certificate: m.Certificate}, nil
	}
	if text, ok := r.Certificates[strings.ToUpper(value(m.Info.Sha256Thumbprint))]; ok {
		return &service.X509CertificateWithInfo{Certificate: &text}, nil
	}
	if whole || value(m.Info.Sha256Thumbprint) == "" {
		return nil, unmovable{"the original does not give out the certificate " + value(m.Info.SubjectName) +
			" (SHA-256 thumbprint " + value(m.Info.Sha256Thumbprint) + "); put it into a file and name that file"}
	}
	return &service.X509CertificateWithInfo{Info: m.Info}, nil
}
