package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/zerotouch-dps/dps/openapi/service"
)

// Page says which page of a list to read; the zero value is the first, in the
// service's size.
type Page struct {
	Size         int    // greatest number of items; 0: the service's default
	Continuation string // as the page before gave it
}

func (p Page) options() []Option {
	return []Option{func(h http.Header) {
		if p.Size > 0 {
			h.Set("X-Ms-Max-Item-Count", strconv.Itoa(p.Size))
		}
		if p.Continuation != "" {
			h.Set("X-Ms-Continuation", p.Continuation)
		}
	}}
}

// list reads a page into out and returns the next one's continuation, "" after the last.
func (s *Service) list(ctx context.Context, p Page, out any, segments ...string) (string, error) {
	var header http.Header
	c := s.request(http.MethodPost, p.options(), segments...)
	c.in, c.out, c.header = service.QuerySpecification{Query: new("SELECT *")}, out, &header
	if err := c.do(ctx, s.HTTP); err != nil {
		return "", err
	}
	return header.Get("X-Ms-Continuation"), nil
}

// Registration reads the registration record of a device.
func (s *Service) Registration(ctx context.Context, id string) (r service.DeviceRegistrationState, err error) {
	err = s.call(ctx, http.MethodGet, nil, &r, nil, "registrations", id)
	return r, err
}

// DeleteRegistration forgets a registration; the device stays in its hub.
func (s *Service) DeleteRegistration(ctx context.Context, id string, options ...Option) error {
	return s.call(ctx, http.MethodDelete, nil, nil, options, "registrations", id)
}

// GroupRegistrations reads a page of the records of the devices that last registered
// through a group, and returns the continuation of the next page, "" after the last.
func (s *Service) GroupRegistrations(ctx context.Context, group string, p Page) (records []service.DeviceRegistrationState, next string, err error) {
	next, err = s.list(ctx, p, &records, "registrations", group, "query")
	return records, next, err
}

// IndividualEnrollments reads a page of individual enrollments, keys masked, and
// returns the continuation of the next page, "" after the last.
func (s *Service) IndividualEnrollments(ctx context.Context, p Page) (entries []service.IndividualEnrollment, next string, err error) {
	next, err = s.list(ctx, p, &entries, "enrollments", "query")
	return entries, next, err
}

// EnrollmentGroups reads a page of enrollment groups, keys masked, and returns the
// continuation of the next page, "" after the last.
func (s *Service) EnrollmentGroups(ctx context.Context, p Page) (groups []service.EnrollmentGroup, next string, err error) {
	next, err = s.list(ctx, p, &groups, "enrollmentGroups", "query")
	return groups, next, err
}
