package query

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

const standingColumns = `id, created, updated, status, assigned_hub, device_id, assignment, want_hub, want_device, operation`

// standingRow is what is read of a registration for its standing.
type standingRow struct {
	id                    string
	created, updated      int64
	status                string
	assignedHub, deviceID string
	assignment            string
	wantHub, wantDevice   string
	operation             string
}

func (r *standingRow) dest() []any {
	return []any{
		&r.id, &r.created, &r.updated, &r.status, &r.assignedHub, &r.deviceID, &r.assignment,
		&r.wantHub, &r.wantDevice, &r.operation,
	}
}

// member returns a text that is a member of an object which is our own JSON: names of the
// outermost stand nowhere else, and inside texts the quotes would be escaped. It spares the
// decoding of all the others, which is most of what reading a fleet takes.
func member(object, name string) (string, error) {
	_, rest, found := strings.Cut(object, `"`+name+`":"`)
	if !found {
		return "", nil
	}
	if text, _, whole := strings.Cut(rest, `"`); whole && !strings.Contains(text, `\`) {
		return text, nil
	}
	var text string // escapes may be in it, even of its end
	if err := json.NewDecoder(strings.NewReader(`"` + rest)).Decode(&text); err != nil {
		return "", fmt.Errorf("decode %s: %w", name, err)
	}
	return text, nil
}

func (r *standingRow) standing(scope dps.IDScope) (registration.Standing, error) {
	var individual string
	out := registration.Registration{
		Scope: scope, ID: dps.RegistrationID(r.id), Created: Time(r.created), Updated: Time(r.updated),
		Assignment: registration.Assignment{
			Hub: r.assignedHub, DeviceID: r.deviceID, Withdrawn: strings.Contains(r.assignment, `"withdrawn":true`),
		},
		Operation: registration.Operation{Status: registration.Status(r.status), Hub: r.wantHub, Want: hub.Want{DeviceID: r.wantDevice}},
	}
	for _, m := range []struct {
		object, name string
		to           *string
	}{
		{r.assignment, "move", &out.Assignment.Move},
		{r.operation, "api", &out.Operation.APIVersion},
		{r.operation, "individual", &individual},
		{r.operation, "group", &out.Operation.Entry.Group},
		{r.operation, "move", &out.Operation.Move},
	} {
		var err error
		if *m.to, err = member(m.object, m.name); err != nil {
			return registration.Standing{}, err
		}
	}
	out.Operation.Entry.Individual = dps.RegistrationID(individual)
	return registration.Standing{Registration: out}, nil
}

// Standings implements [registration.Store].
func (s *Registrations) Standings(ctx context.Context, scope dps.IDScope, q registration.Search) (enrollment.Found[registration.Standing], error) {
	if err := checkText("filter", q.ID, q.Prefix, string(q.Status), q.Hub, q.Group, q.After.Key); err != nil {
		return enrollment.Found[registration.Standing]{}, err
	}
	order, records := q.Order, s.finder(scope, q)
	f := finder[registration.Standing]{
		columns: standingColumns, scope: records.scope, order: order, bounds: s.Bounds,
		span: records.span, source: records.source, rest: records.rest,
		decode: func(scan ScanFunc) (registration.Standing, error) {
			var row standingRow
			if err := scan(row.dest()...); err != nil {
				return registration.Standing{}, err
			}
			return row.standing(scope)
		},
		place: func(r registration.Standing) place {
			return placeOf(order, r.Registration.ID.Fold(), r.Registration.Created, r.Registration.Updated)
		},
	}
	found, err := run(ctx, s.DB, "read standings", f.find)
	if err != nil || len(found.Items) == 0 {
		return found, err
	}
	return found, during("read enrollments of standings", s.DB.Read(ctx, func(tx Tx) error {
		return s.addEntries(ctx, tx, scope, found.Items)
	}))
}

// addEntries reads the individual enrollments of a page in one go. Entries of a fleet are
// alike, so that most settings are decoded once.
func (s *Registrations) addEntries(ctx context.Context, tx Tx, scope dps.IDScope, page []registration.Standing) error {
	keys := make([]string, len(page))
	byKey := make(map[string]*registration.Standing, len(page))
	for i := range page {
		keys[i] = page[i].Registration.ID.Fold()
		byKey[keys[i]] = &page[i]
	}
	inner, args := s.Dialect.Several(scope.Fold(), keys)
	known := map[string]settingsRow{}
	return tx.Query(ctx, "select id, etag, enabled, settings from ("+inner+") e", args, func(scan ScanFunc) error {
		var id string
		var c settingsColumns
		if err := scan(&id, &c.etag, &c.enabled, &c.settings); err != nil {
			return err
		}
		row, ok := known[c.settings]
		if !ok {
			if err := decode("enrollment settings", c.settings, &row); err != nil {
				return err
			}
			known[c.settings] = row
		}
		if of := byKey[dps.FoldASCII(id)]; of != nil {
			of.Entry = &enrollment.Individual{ID: dps.RegistrationID(id), DeviceID: row.DeviceID, Settings: c.settingsOf(&row)}
		}
		return nil
	})
}
