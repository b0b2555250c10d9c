package query

import (
	"context"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

// IndividualColumns are the columns that [IndividualRow.Dest] takes, in its order.
const IndividualColumns = `id, etag, enabled, mechanism, sealed, settings, device_info, tags, desired, lot, uploader, created, updated`

const (
	selectIndividual = `select ` + IndividualColumns + ` from individual where scope_key = $1 and reg_key = $2`
	// SelectIndividuals reads a page by scope_key, the key before it, and its size.
	SelectIndividuals       = `select ` + IndividualColumns + ` from individual where scope_key = $1 and reg_key > $2 order by reg_key limit $3`
	selectIndividualVersion = `select id, etag, created, settings from individual where scope_key = $1 and reg_key = $2`
	insertIndividual        = `insert into individual (scope_key, reg_key, ` + IndividualColumns + `)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		on conflict (scope_key, reg_key) do nothing`
	updateIndividual = `update individual set id = $3, etag = $4, enabled = $5, mechanism = $6, sealed = $7, settings = $8,
		device_info = $9, tags = $10, desired = $11, lot = $12, uploader = $13, created = $14, updated = $15
		where scope_key = $1 and reg_key = $2`
	deleteIndividual    = `delete from individual where scope_key = $1 and reg_key = $2`
	insertBlockedLeaf   = `insert into blocked_leaf (scope_key, thumbprint, reg_key) values ($1, $2, $3)`
	deleteBlockedLeaves = `delete from blocked_leaf where scope_key = $1 and reg_key = $2`
	shareScope          = `select config_version from scope where scope_key = $1`
)

// IndividualRow receives the columns of one individual enrollment.
type IndividualRow struct {
	id, mechanism, deviceInfo string
	sealed                    []byte
	settingsColumns
}

// Dest returns where to scan [IndividualColumns].
func (r *IndividualRow) Dest() []any {
	return []any{
		&r.id, &r.etag, &r.enabled, &r.mechanism, &r.sealed, &r.settings, &r.deviceInfo,
		&r.tags, &r.desired, &r.lot, &r.uploader, &r.created, &r.updated,
	}
}

func individualPlace(scope dps.IDScope, id dps.RegistrationID) keyring.Place {
	return keyring.Place{Scope: scope.Fold(), Table: "individual", ID: id.Fold(), Column: "mechanism"}
}

// Individual decodes a scanned row of a scope.
func (c Codec) Individual(scope dps.IDScope, r *IndividualRow) (enrollment.Individual, error) {
	id := dps.RegistrationID(r.id)
	settings, own, err := r.decode()
	if err != nil {
		return enrollment.Individual{}, err
	}
	mechanism, err := c.decodeMechanism(individualPlace(scope, id), r.mechanism, r.sealed)
	if err != nil {
		return enrollment.Individual{}, err
	}
	return enrollment.Individual{
		ID: id, DeviceID: own.DeviceID, DeviceInfo: raw(r.deviceInfo), Mechanism: mechanism, Settings: settings,
	}, nil
}

// IndividualValues returns the values of scope_key, reg_key and [IndividualColumns].
func (c Codec) IndividualValues(scope dps.IDScope, e *enrollment.Individual) ([]any, error) {
	plain, sealed, err := c.encodeMechanism(individualPlace(scope, e.ID), e.Mechanism)
	if err != nil {
		return nil, err
	}
	s := settingsToColumns(&e.Settings, ownSettings{DeviceID: e.DeviceID})
	if err := checkText("enrollment", s.tags, s.desired, s.lot, s.uploader, string(e.DeviceInfo), string(e.ID)); err != nil {
		return nil, err
	}
	return []any{
		scope.Fold(), e.ID.Fold(), string(e.ID), s.etag, s.enabled, plain, sealed, s.settings, string(e.DeviceInfo),
		s.tags, s.desired, s.lot, s.uploader, s.created, s.updated,
	}, nil
}

// Individual implements [enrollment.Store].
func (s *Enrollments) Individual(ctx context.Context, scope dps.IDScope, id dps.RegistrationID) (enrollment.Individual, error) {
	var row IndividualRow
	var found bool
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		found, err = one(ctx, tx, selectIndividual, []any{scope.Fold(), id.Fold()}, func(scan ScanFunc) error {
			return scan(row.Dest()...)
		})
		return err
	})
	if err != nil {
		return enrollment.Individual{}, during("read individual enrollment", err)
	}
	if !found {
		return enrollment.Individual{}, individualNotFound(id)
	}
	e, err := s.Codec.Individual(scope, &row)
	return e, during("read individual enrollment", err)
}

// Individuals implements [enrollment.Store].
func (s *Enrollments) Individuals(ctx context.Context, scope dps.IDScope, p enrollment.Page) ([]enrollment.Individual, error) {
	var out []enrollment.Individual
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, SelectIndividuals, []any{scope.Fold(), p.After, int64(p.Limit)}, func(scan ScanFunc) (enrollment.Individual, error) {
			var row IndividualRow
			if err := scan(row.Dest()...); err != nil {
				return enrollment.Individual{}, err
			}
			return s.Codec.Individual(scope, &row)
		})
		return err
	})
	return out, during("list individual enrollments", err)
}

func individualNotFound(id dps.RegistrationID) error {
	return dps.Errorf(dps.EnrollmentNotFound, "individual enrollment %q does not exist", id)
}

// PutIndividual implements [enrollment.Store].
func (s *Enrollments) PutIndividual(ctx context.Context, scope dps.IDScope, e enrollment.Individual, p enrollment.Precondition) (enrollment.Individual, error) {
	var out enrollment.Individual
	err := s.DB.Write(ctx, func(tx Tx) (err error) {
		if err := s.holdScope(ctx, tx, scope); err != nil {
			return err
		}
		out, err = s.putIndividual(ctx, tx, scope, e, p)
		return err
	})
	if err != nil {
		return enrollment.Individual{}, during("write individual enrollment", err)
	}
	return out, nil
}

func (s *Enrollments) putIndividual(ctx context.Context, tx Tx, scope dps.IDScope, e enrollment.Individual, p enrollment.Precondition) (enrollment.Individual, error) {
	old, err := s.version(ctx, tx, selectIndividualVersion, scope.Fold(), e.ID.Fold())
	if err != nil {
		return e, err
	}
	taken := dps.Errorf(dps.EnrollmentExists, "individual enrollment %q exists already", e.ID)
	if err := expect(p, old.exists, old.etag, taken); err != nil {
		return e, err
	}
	if old.exists {
		e.ID = dps.RegistrationID(old.id)
	}
	if err := s.Codec.stampSettings(&e.Settings, old.created); err != nil {
		return e, err
	}
	values, err := s.Codec.IndividualValues(scope, &e)
	if err != nil {
		return e, err
	}
	if err := writeEither(ctx, tx, old.exists, insertIndividual, updateIndividual, values); err != nil {
		return e, err
	}
	if err := s.indexLeaves(ctx, tx, scope, &e, old.exists); err != nil {
		return e, err
	}
	return e, s.indexHubs(ctx, tx, hubOwner{scope.Fold(), kindIndividual, e.ID.Fold()}, old.hubs, e.HubNames())
}

// indexLeaves keeps blocked_leaf: only a disabled enrollment's leaves stand there.
func (s *Enrollments) indexLeaves(ctx context.Context, tx Tx, scope dps.IDScope, e *enrollment.Individual, existed bool) error {
	if existed {
		if _, err := tx.Exec(ctx, deleteBlockedLeaves, scope.Fold(), e.ID.Fold()); err != nil {
			return err
		}
	}
	for _, thumbprint := range blockedLeaves(e) {
		if _, err := tx.Exec(ctx, insertBlockedLeaf, scope.Fold(), thumbprint, e.ID.Fold()); err != nil {
			return err
		}
	}
	return nil
}

func blockedLeaves(e *enrollment.Individual) []string {
	leaf, ok := e.Mechanism.(attestation.X509Leaf)
	if !ok || e.Enabled {
		return nil
	}
	var out []string
	for _, c := range []*attestation.Certificate{leaf.Primary, leaf.Secondary} {
		if c == nil {
			continue
		}
		if t := strings.ToUpper(c.Info.SHA256); len(out) == 0 || out[0] != t {
			out = append(out, t)
		}
	}
	return out
}

// DeleteIndividual implements [enrollment.Store].
func (s *Enrollments) DeleteIndividual(ctx context.Context, scope dps.IDScope, id dps.RegistrationID, p enrollment.Precondition) error {
	return during("delete individual enrollment", s.DB.Write(ctx, func(tx Tx) error {
		old, err := s.version(ctx, tx, selectIndividualVersion, scope.Fold(), id.Fold())
		if err != nil {
			return err
		}
		if !old.exists {
			return individualNotFound(id)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, old.etag, nil); err != nil {
			return err
		}
		for _, text := range []string{deleteIndividual, deleteBlockedLeaves} {
			if _, err := tx.Exec(ctx, text, scope.Fold(), id.Fold()); err != nil {
				return err
			}
		}
		return s.indexHubs(ctx, tx, hubOwner{scope.Fold(), kindIndividual, id.Fold()}, old.hubs, nil)
	}))
}

// Exists reports whether a row was scanned, and not the NULLs of an outer join.
func (r *IndividualRow) Exists() bool { return r.id != "" }
