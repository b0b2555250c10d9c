package client

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/openapi/service"
)

const (
	serviceVersion = "2021-10-01"
	tokenLife      = time.Hour
)

// Service calls the service API with a connection string. It is safe for concurrent
// use.
type Service struct {
	HostName string
	KeyName  string
	HTTP     *http.Client
	Now      func() time.Time
	// URL is called instead of https://HostName; for servers on another port.
	URL string
	key []byte
}

// NewService returns a client for "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…".
// The error does not repeat the text.
func NewService(connectionString string, now func() time.Time) (*Service, error) {
	s := &Service{Now: now}
	for part := range strings.SplitSeq(strings.TrimSpace(connectionString), ";") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "hostname":
			s.HostName = value
		case "sharedaccesskeyname":
			s.KeyName = value
		case "sharedaccesskey":
			key, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return nil, errors.New("connection string: SharedAccessKey is not base64")
			}
			s.key = key
		}
	}
	if s.HostName == "" || s.KeyName == "" || len(s.key) == 0 {
		return nil, errors.New("connection string: HostName, SharedAccessKeyName or SharedAccessKey is missing")
	}
	s.URL = "https://" + s.HostName
	return s, nil
}

func (s *Service) call(ctx context.Context, method string, in, out any, options []Option, segments ...string) error {
	c := s.request(method, options, segments...)
	c.in, c.out = in, out
	return c.do(ctx, s.HTTP)
}

func (s *Service) request(method string, options []Option, segments ...string) call {
	return call{
		method: method, url: join(s.URL, segments...) + "?api-version=" + serviceVersion,
		authorization: attestation.SignToken(s.HostName, s.KeyName, s.key, s.Now().Add(tokenLife)),
		options:       options,
	}
}

// IndividualEnrollment reads an individual enrollment, keys masked.
func (s *Service) IndividualEnrollment(ctx context.Context, id string) (e service.IndividualEnrollment, err error) {
	err = s.call(ctx, http.MethodGet, nil, &e, nil, "enrollments", id)
	return e, err
}

// PutIndividualEnrollment creates an individual enrollment, or with [IfMatch] replaces
// one. What it returns holds the keys.
func (s *Service) PutIndividualEnrollment(ctx context.Context, id string, in service.IndividualEnrollment, options ...Option) (e service.IndividualEnrollment, err error) {
	err = s.call(ctx, http.MethodPut, in, &e, options, "enrollments", id)
	return e, err
}

// DeleteIndividualEnrollment deletes an individual enrollment.
func (s *Service) DeleteIndividualEnrollment(ctx context.Context, id string, options ...Option) error {
	return s.call(ctx, http.MethodDelete, nil, nil, options, "enrollments", id)
}

// IndividualAttestation reveals the attestation mechanism of an individual enrollment.
func (s *Service) IndividualAttestation(ctx context.Context, id string) (m service.AttestationMechanism, err error) {
	err = s.call(ctx, http.MethodPost, nil, &m, nil, "enrollments", id, "attestationmechanism")
	return m, err
}

// EnrollmentGroup reads an enrollment group, keys masked.
func (s *Service) EnrollmentGroup(ctx context.Context, id string) (g service.EnrollmentGroup, err error) {
	err = s.call(ctx, http.MethodGet, nil, &g, nil, "enrollmentGroups", id)
	return g, err
}

// PutEnrollmentGroup creates an enrollment group, or with [IfMatch] replaces one. What
// it returns holds the keys.
func (s *Service) PutEnrollmentGroup(ctx context.Context, id string, in service.EnrollmentGroup, options ...Option) (g service.EnrollmentGroup, err error) {
	err = s.call(ctx, http.MethodPut, in, &g, options, "enrollmentGroups", id)
	return g, err
}

// DeleteEnrollmentGroup deletes an enrollment group.
func (s *Service) DeleteEnrollmentGroup(ctx context.Context, id string, options ...Option) error {
	return s.call(ctx, http.MethodDelete, nil, nil, options, "enrollmentGroups", id)
}

// GroupAttestation reveals the attestation mechanism of an enrollment group.
func (s *Service) GroupAttestation(ctx context.Context, id string) (m service.AttestationMechanism, err error) {
	err = s.call(ctx, http.MethodPost, nil, &m, nil, "enrollmentGroups", id, "attestationmechanism")
	return m, err
}
