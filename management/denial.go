package management

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	// MaxDenialsAtOnce bounds the entries of one call: they are one commit and one audit
	// record.
	MaxDenialsAtOnce = 1000
	// maxDenialsNamed bounds the entries that an audit record spells out.
	maxDenialsNamed = 20
)

// Denials returns the deny list of a scope by kind, value and issuer. Errors:
// [dps.NotFound], and those of a caller below [RoleViewer].
func (s *Service) Denials(ctx context.Context, c Caller, id dps.IDScope) ([]scope.Denial, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Scopes.Denials(ctx, id)
}

// PutDenials adds entries to the deny list, or replaces their notes, and returns them as
// they are stored. They are in force at the next registration on every replica. Errors:
// [dps.NotFound], [dps.InvalidArgument], [dps.QuotaReached], and those of a caller below
// [RoleSecurity].
func (s *Service) PutDenials(ctx context.Context, c Caller, id dps.IDScope, list []scope.Denial) ([]scope.Denial, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > MaxDenialsAtOnce {
		return nil, dps.Invalid("value", "length", "must hold 1 to "+strconv.Itoa(MaxDenialsAtOnce)+" entries")
	}
	out, names := make([]scope.Denial, len(list)), []string{}
	for i, d := range list {
		d, err := d.Normalized()
		if err != nil {
			return nil, inItem(i, err)
		}
		d.Created = s.d.Now()
		out[i] = d
		if len(names) < maxDenialsNamed {
			names = append(names, denialName(d))
		}
	}
	detail := map[string]any{"count": len(out), "entries": names}
	return out, s.d.Scopes.PutDenials(s.audited(ctx, c, entry{id, "denial.put", out[0].Value, detail}), id, out)
}

// DeleteDenial takes an entry off the deny list. Errors: [dps.NotFound],
// [dps.InvalidArgument], and those of a caller below [RoleSecurity].
func (s *Service) DeleteDenial(ctx context.Context, c Caller, id dps.IDScope, d scope.Denial) error {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return err
	}
	d, err := d.Normalized()
	if err != nil {
		return err
	}
	detail := map[string]any{"entries": []string{denialName(d)}}
	return s.d.Scopes.DeleteDenial(s.audited(ctx, c, entry{id, "denial.delete", d.Value, detail}), id, d)
}

// denialName is an entry in the audit log.
func denialName(d scope.Denial) string {
	if d.Issuer != "" {
		return string(d.Kind) + " " + d.Value + " of " + d.Issuer
	}
	return string(d.Kind) + " " + d.Value
}

// inItem tells which item of a list a field belongs to.
func inItem(i int, err error) error {
	e, ok := errors.AsType[*dps.Error](err)
	if !ok || e.Info["field"] == "" {
		return err
	}
	field := e.Info["field"]
	return dps.Invalid("value["+strconv.Itoa(i)+"]."+field, e.Info["rule"], strings.TrimPrefix(e.Message, field+" "))
}
