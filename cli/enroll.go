package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// enroller makes the enrollments of simulated devices.
type enroller struct{ service *client.Service }

// newEnroller calls the service API of the deployment whose device endpoint e is.
func newEnroller(connectionString string, e device.Endpoint, env *Env) (*enroller, error) {
	if connectionString == "" {
		return nil, usagef("enrolling needs --service-connection-string or a ready file of dps dev")
	}
	s, err := client.NewService(connectionString, env.Now)
	if err != nil {
		return nil, usagef("--service-connection-string: %v", err)
	}
	s.URL = "https://" + net.JoinHostPort(s.HostName, strconv.Itoa(e.Port))
	s.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.Roots, MinVersion: tls.VersionTLS12}}}
	return &enroller{s}, nil
}

// individual enrolls one device; one that is enrolled already stays as it is.
func (x *enroller) individual(ctx context.Context, id device.Identity) error {
	attestation := symmetricKey(id.Key)
	if id.Certificate != nil {
		attestation = x509Attestation(service.X509Attestation{ClientCertificates: primary(string(certificatePEM(id.Certificate.Leaf)))})
	}
	_, err := x.service.PutIndividualEnrollment(ctx, id.RegistrationID, service.IndividualEnrollment{Attestation: attestation})
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusConflict {
		return nil
	}
	if err != nil {
		return fmt.Errorf("enroll %s: %w", id.RegistrationID, err)
	}
	return nil
}

// x509Group enrolls every device whose chain holds the CA certificate (PEM).
func (x *enroller) x509Group(ctx context.Context, name, certificate string) error {
	return x.group(ctx, name, x509Attestation(service.X509Attestation{SigningCertificates: primary(certificate)}))
}

// keyGroup enrolls every device whose key is derived from the group's.
func (x *enroller) keyGroup(ctx context.Context, name string, key dps.Secret) error {
	return x.group(ctx, name, symmetricKey(key))
}

func (x *enroller) group(ctx context.Context, name string, a *service.AttestationMechanism) error {
	if _, err := x.service.PutEnrollmentGroup(ctx, name, service.EnrollmentGroup{Attestation: a}); err != nil {
		return fmt.Errorf("enroll group %s: %w", name, err)
	}
	return nil
}

func symmetricKey(key dps.Secret) *service.AttestationMechanism {
	kind, text := "symmetricKey", key.Reveal()
	return &service.AttestationMechanism{Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &text}}
}

func x509Attestation(a service.X509Attestation) *service.AttestationMechanism {
	kind := "x509"
	return &service.AttestationMechanism{Type: &kind, X509: &a}
}

func primary(certificate string) *service.X509Certificates {
	return &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: &certificate}}
}
