package adminapi

import (
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/registration"
)

// individualSearch reads the filters of a list of individual enrollments. Errors:
// [dps.InvalidArgument].
func individualSearch(p admin.ListEnrollmentsParams) (enrollment.Search, error) {
	return entrySearch(admin.ListEnrollmentGroupsParams(p))
}

// entrySearch reads the filters of a list of groups, which individual enrollments share.
func entrySearch(p admin.ListEnrollmentGroupsParams) (s enrollment.Search, err error) {
	s = enrollment.Search{
		ID: value(p.ID), Prefix: value(p.IDPrefix), Lot: value(p.Lot), Uploader: value(p.Uploader), Hub: value(p.Hub),
	}
	if s.Enabled, err = enabled(value(p.ProvisioningStatus)); err != nil {
		return s, err
	}
	kinds := []attestation.Kind{attestation.KindSymmetricKey, attestation.KindX509, attestation.KindTPM}
	if s.Kind, err = oneOf("attestation", value(p.Attestation), kinds...); err != nil {
		return s, err
	}
	if s.Tag, err = tag(value(p.Tag)); err != nil {
		return s, err
	}
	if s.Created, err = within("created", p.CreatedFrom, p.CreatedUntil); err != nil {
		return s, err
	}
	if s.Updated, err = within("updated", p.UpdatedFrom, p.UpdatedUntil); err != nil {
		return s, err
	}
	s.Order, err = ordering(p.Sort, p.Order)
	return s, err
}

func recordSearch(p admin.ListRegistrationsParams) (s registration.Search, err error) {
	s = registration.Search{ID: value(p.ID), Prefix: value(p.IDPrefix), Group: value(p.Group), Hub: value(p.Hub), ErrorCode: value(p.ErrorCode)}
	states := []registration.Status{
		registration.Unassigned, registration.Assigning, registration.Assigned, registration.Failed, registration.Disabled,
	}
	if s.Status, err = oneOf("status", value(p.Status), states...); err != nil {
		return s, err
	}
	if s.Created, err = within("created", p.CreatedFrom, p.CreatedUntil); err != nil {
		return s, err
	}
	if s.Updated, err = within("updated", p.UpdatedFrom, p.UpdatedUntil); err != nil {
		return s, err
	}
	s.Order, err = ordering(p.Sort, p.Order)
	return s, err
}

func enabled(status string) (*bool, error) {
	s, err := oneOf("provisioningStatus", status, "enabled", "disabled")
	if err != nil || s == "" {
		return nil, err
	}
	return new(s == "enabled"), nil
}

// oneOf reads a text of a closed list in any letter case; empty is none.
func oneOf[T ~string](field, text string, known ...T) (T, error) {
	var names []string
	for _, k := range known {
		if text != "" && dps.FoldASCII(text) == dps.FoldASCII(string(k)) {
			return k, nil
		}
		names = append(names, string(k))
	}
	if text == "" {
		return "", nil
	}
	return "", dps.Invalid(field, "enum", "must be one of "+strings.Join(names, ", "))
}

func tag(text string) (enrollment.Tag, error) {
	if text == "" {
		return enrollment.Tag{}, nil
	}
	path, value, ok := strings.Cut(text, "=")
	if !ok || path == "" {
		return enrollment.Tag{}, dps.Invalid("tag", "form", "must be name=value")
	}
	return enrollment.Tag{Path: strings.Split(path, "."), Value: value}, nil
}

func within(field string, from, until *string) (r enrollment.Range, err error) {
	if r.From, err = moment(field+"From", value(from)); err != nil {
		return r, err
	}
	r.Until, err = moment(field+"Until", value(until))
	return r, err
}

func moment(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 {
		return time.Time{}, dps.Invalid(field, "time", "must be a time such as 2026-01-31T08:00:00Z")
	}
	return t.UTC(), nil
}

func ordering(sort, direction *string) (o enrollment.Order, err error) {
	if o.By, err = oneOf("sort", value(sort), enrollment.ByID, enrollment.ByCreated, enrollment.ByUpdated); err != nil {
		return o, err
	}
	d, err := oneOf("order", value(direction), "asc", "desc")
	o.Descending = d == "desc"
	return o, err
}
