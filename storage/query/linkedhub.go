package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

const hubColumns = `host_name, settings, sealed, etag, created, updated, sealed_next`

const (
	selectHubs = `select ` + hubColumns + ` from hub where scope_key = $1 order by host_key`
	selectHub  = `select ` + hubColumns + ` from hub where scope_key = $1 and host_key = $2`
	upsertHub  = `insert into hub (scope_key, host_key, ` + hubColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (scope_key, host_key) do update set host_name = excluded.host_name, settings = excluded.settings,
		sealed = excluded.sealed, etag = excluded.etag, created = excluded.created, updated = excluded.updated,
		sealed_next = excluded.sealed_next`
	deleteHub = `delete from hub where scope_key = $1 and host_key = $2`
)

// hubSettings is the stored form of a hub.Linked, without what has columns of its own.
type hubSettings struct {
	DialAddress          string `json:"dialAddress,omitempty"`
	Kind                 string `json:"kind,omitempty"`
	TrustedCAs           string `json:"trustedCAs,omitempty"`
	Location             string `json:"location,omitempty"`
	AllocationWeight     int    `json:"weight,omitempty"`
	ApplyAllocation      bool   `json:"apply,omitempty"`
	IdentityRate         int    `json:"identityRate,omitempty"`
	CertificateAuthority bool   `json:"certificateAuthority,omitempty"`
	RefuseUnclaimed      bool   `json:"refuseUnclaimed,omitempty"`
	Drain                bool   `json:"drain,omitempty"`
	MaxDevices           int    `json:"maxDevices,omitempty"`

	Residency []string `json:"residency,omitempty"`
}

type hubRow struct {
	hostName, settings, etag string
	sealed, next             []byte
	created, updated         int64
}

func (r *hubRow) dest() []any {
	return []any{&r.hostName, &r.settings, &r.sealed, &r.etag, &r.created, &r.updated, &r.next}
}

func hubPlace(id dps.IDScope, hostName string) keyring.Place {
	return keyring.Place{Scope: id.Fold(), Table: "hub", ID: dps.FoldASCII(hostName), Column: "connection_string"}
}

// nextPlace is apart from hubPlace, so that neither can be put in the other's place.
func nextPlace(id dps.IDScope, hostName string) keyring.Place {
	p := hubPlace(id, hostName)
	p.Column = "next_connection_string"
	return p
}

func (c Codec) linked(id dps.IDScope, r *hubRow) (hub.Linked, error) {
	var s hubSettings
	var connection, next string
	if err := decode("linked hub", r.settings, &s); err != nil {
		return hub.Linked{}, err
	}
	if err := c.open(hubPlace(id, r.hostName), r.sealed, &connection); err != nil {
		return hub.Linked{}, err
	}
	if r.next != nil {
		if err := c.open(nextPlace(id, r.hostName), r.next, &next); err != nil {
			return hub.Linked{}, err
		}
	}
	return hub.Linked{
		HostName: r.hostName, NextConnectionString: dps.NewSecret(next), DialAddress: s.DialAddress, Kind: s.Kind, ConnectionString: dps.NewSecret(connection),
		TrustedCAs: s.TrustedCAs, Location: s.Location, AllocationWeight: s.AllocationWeight, ApplyAllocation: s.ApplyAllocation,
		IdentityRate: s.IdentityRate, CertificateAuthority: s.CertificateAuthority, RefuseUnclaimed: s.RefuseUnclaimed,
		Drain: s.Drain, MaxDevices: s.MaxDevices, Residency: s.Residency,
		ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated),
	}, nil
}

func (c Codec) linkedValues(id dps.IDScope, l *hub.Linked) ([]any, error) {
	sealed, err := c.seal(hubPlace(id, l.HostName), l.ConnectionString.Reveal())
	if err != nil {
		return nil, err
	}
	var next []byte
	if !l.NextConnectionString.IsZero() {
		if next, err = c.seal(nextPlace(id, l.HostName), l.NextConnectionString.Reveal()); err != nil {
			return nil, err
		}
	}
	s := hubSettings{
		DialAddress: l.DialAddress, Kind: l.Kind, TrustedCAs: l.TrustedCAs, Location: l.Location,
		AllocationWeight: l.AllocationWeight, ApplyAllocation: l.ApplyAllocation, IdentityRate: l.IdentityRate,
		CertificateAuthority: l.CertificateAuthority, RefuseUnclaimed: l.RefuseUnclaimed,
		Drain: l.Drain, MaxDevices: l.MaxDevices, Residency: l.Residency,
	}
	return []any{
		id.Fold(), dps.FoldASCII(l.HostName), l.HostName, encode(s), sealed, string(l.ETag), Micros(l.Created), Micros(l.Updated), next,
	}, nil
}

// Hubs implements [scope.Store].
func (s *Scopes) Hubs(ctx context.Context, id dps.IDScope) ([]hub.Linked, error) {
	var out []hub.Linked
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = s.hubs(ctx, tx, id)
		return err
	})
	return out, during("list linked hubs", err)
}

func (s *Scopes) hubs(ctx context.Context, tx Tx, id dps.IDScope) ([]hub.Linked, error) {
	return all(ctx, tx, selectHubs, []any{id.Fold()}, func(scan ScanFunc) (hub.Linked, error) {
		var row hubRow
		if err := scan(row.dest()...); err != nil {
			return hub.Linked{}, err
		}
		return s.Codec.linked(id, &row)
	})
}

func (s *Scopes) hubRow(ctx context.Context, tx Tx, id dps.IDScope, hostName string) (hubRow, bool, error) {
	var row hubRow
	found, err := one(ctx, tx, selectHub, []any{id.Fold(), dps.FoldASCII(hostName)}, func(scan ScanFunc) error { return scan(row.dest()...) })
	return row, found, err
}

// PutHub implements [scope.Store].
func (s *Scopes) PutHub(ctx context.Context, id dps.IDScope, l hub.Linked, p enrollment.Precondition) (hub.Linked, error) {
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.hubRow(ctx, tx, id, l.HostName)
		if err != nil {
			return err
		}
		taken := dps.Errorf(dps.AlreadyLinked, "hub %q is linked already", l.HostName)
		if err := expect(p, exists, dps.ETag(old.etag), taken); err != nil {
			return err
		}
		st, err := s.Codec.newStamp(l.Updated, old.created)
		if err != nil {
			return err
		}
		l.ETag, l.Created, l.Updated = st.etag, st.created, st.updated
		values, err := s.Codec.linkedValues(id, &l)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, upsertHub, values...)
		return err
	})
	if err != nil {
		return hub.Linked{}, during("link hub", err)
	}
	return l, nil
}

// DeleteHub implements [scope.Store].
func (s *Scopes) DeleteHub(ctx context.Context, id dps.IDScope, hostName string, p enrollment.Precondition) error {
	return during("unlink hub", s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.hubRow(ctx, tx, id, hostName)
		if err != nil {
			return err
		}
		if !exists {
			return dps.Errorf(dps.NotFound, "hub %q is not linked", hostName)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(old.etag), nil); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, deleteHub, id.Fold(), dps.FoldASCII(hostName))
		return err
	}))
}
