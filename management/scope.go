package management

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	maxHostNames  = 16
	maxHostLength = 253 // bytes (RFC 1035, 2.3.4)
)

// ScopeChange are the members of a scope to set; nil leaves one as it is.
type ScopeChange struct {
	HostNames        *[]string
	AllocationPolicy *enrollment.AllocationPolicy
	// Custom is the webhook of the policy custom; a URL whose query is masked, as it is
	// shown, keeps the stored one.
	Custom             *enrollment.CustomAllocation
	TrustInlineSigning *bool
	DisableLocalAuth   *bool
	FilterQueries      *bool
	MinTLSVersion      *string
	Limits             *scope.Limits
	WhenRevoked        *scope.WhenRevoked
	CertificateRules   *scope.CertificateRules // replaced as a whole
	Events             *scope.Events           // replaced as a whole
}

// Scopes returns every scope that the caller may see, by ID. Errors: those of a caller
// who is nowhere at least [RoleViewer].
func (s *Service) Scopes(ctx context.Context, c Caller) ([]scope.Scope, error) {
	if err := c.DemandAnywhere(RoleViewer); err != nil {
		return nil, err
	}
	all, err := s.d.Scopes.List(ctx)
	return slices.DeleteFunc(all, func(one scope.Scope) bool { return c.Demand(one.ID, RoleViewer) != nil }), err
}

// Scope returns a scope. Errors: [dps.NotFound], and those of a caller below
// [RoleViewer].
func (s *Service) Scope(ctx context.Context, c Caller, id dps.IDScope) (scope.Scope, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return scope.Scope{}, err
	}
	return s.d.Scopes.Get(ctx, id)
}

// CreateScope makes a scope; an empty ID is replaced by a random one in the original's
// form. Errors: [dps.InvalidArgument], [dps.AlreadyExists], and those of a caller who is
// not [RoleOwner] of the deployment.
func (s *Service) CreateScope(ctx context.Context, c Caller, id dps.IDScope, change ScopeChange) (scope.Scope, error) {
	if err := c.DemandDeployment(RoleOwner); err != nil {
		return scope.Scope{}, err
	}
	if id == "" {
		made, err := s.newScopeID()
		if err != nil {
			return scope.Scope{}, err
		}
		id = made
	}
	if _, err := dps.ParseIDScope(string(id)); err != nil {
		return scope.Scope{}, err
	}
	made := scope.Scope{ID: id, AllocationPolicy: enrollment.Hashed, Created: s.d.Now(), Updated: s.d.Now()}
	if err := change.apply(&made); err != nil {
		return scope.Scope{}, err
	}
	return s.d.Scopes.Create(s.audited(ctx, c, entry{made.ID, "scope.create", string(made.ID), nil}), made)
}

// UpdateScope changes a scope; ifMatch may be empty. Errors: [dps.NotFound],
// [dps.InvalidArgument], [dps.PreconditionFailed], [dps.AlreadyExists] (a host name is
// shared with a scope that has a policy of the same name), and those of a caller
// below [RoleSecurity]. Host names are the deployment's: who is held to certain scopes
// could else take those of others.
func (s *Service) UpdateScope(ctx context.Context, c Caller, id dps.IDScope, change ScopeChange, ifMatch string) (scope.Scope, error) {
	if change.HostNames != nil {
		if err := c.DemandDeployment(RoleSecurity); err != nil {
			return scope.Scope{}, err
		}
	}
	return s.changeScope(ctx, c, entry{id, "scope.update", string(id), nil}, ifMatch, change.apply)
}

func (s *Service) changeScope(ctx context.Context, c Caller, e entry, ifMatch string, alter func(*scope.Scope) error) (scope.Scope, error) {
	if err := c.Demand(e.scope, RoleSecurity); err != nil {
		return scope.Scope{}, err
	}
	t := table[scope.Scope]{
		get: func(ctx context.Context) (scope.Scope, error) { return s.d.Scopes.Get(ctx, e.scope) },
		put: func(ctx context.Context, v scope.Scope, p enrollment.Precondition) (scope.Scope, error) {
			return s.d.Scopes.Update(s.audited(ctx, c, e), v, p)
		},
		etag: func(v scope.Scope) dps.ETag { return v.ETag },
	}
	return t.change(ctx, ifMatch, func(stored *scope.Scope) error {
		stored.Updated = s.d.Now()
		if err := alter(stored); err != nil {
			return err
		}
		return stored.Validate()
	})
}

// DeleteScope deletes a scope that holds nothing; ifMatch may be empty. Errors:
// [dps.NotFound], [dps.InUse], [dps.PreconditionFailed], and those of a caller who is
// not [RoleOwner] of the deployment.
func (s *Service) DeleteScope(ctx context.Context, c Caller, id dps.IDScope, ifMatch string) error {
	if err := c.DemandDeployment(RoleOwner); err != nil {
		return err
	}
	ctx = s.audited(ctx, c, entry{id, "scope.delete", string(id), nil})
	return s.d.Scopes.Delete(ctx, id, enrollment.Precondition{IfMatch: ifMatch})
}

func (s *Service) newScopeID() (dps.IDScope, error) {
	raw := make([]byte, 4)
	if _, err := io.ReadFull(s.d.Rand, raw); err != nil {
		return "", fmt.Errorf("make scope ID: %w", err)
	}
	return dps.IDScope("0ne" + strings.ToUpper(hex.EncodeToString(raw))), nil
}

func (change ScopeChange) apply(to *scope.Scope) error {
	if change.HostNames != nil {
		hosts, err := hostNames(*change.HostNames)
		if err != nil {
			return err
		}
		to.HostNames = hosts
	}
	if change.AllocationPolicy != nil {
		if err := checkDefaultPolicy(*change.AllocationPolicy); err != nil {
			return err
		}
		to.AllocationPolicy = *change.AllocationPolicy
	}
	if change.Custom != nil {
		custom, err := customOf(*change.Custom, to.Custom)
		if err != nil {
			return err
		}
		to.Custom = custom
	}
	set(change.TrustInlineSigning, &to.TrustInlineSigning)
	set(change.FilterQueries, &to.FilterQueries)
	set(change.DisableLocalAuth, &to.DisableLocalAuth)
	set(change.MinTLSVersion, &to.MinTLSVersion)
	set(change.Limits, &to.Limits)
	set(change.WhenRevoked, &to.WhenRevoked)
	set(change.CertificateRules, &to.CertificateRules)
	set(change.Events, &to.Events)
	return to.Validate()
}

// customOf keeps the stored URL where the one given is what is shown of it.
func customOf(given enrollment.CustomAllocation, stored *enrollment.CustomAllocation) (*enrollment.CustomAllocation, error) {
	if stored != nil && given.WebhookURL == allocation.Masked(stored.WebhookURL) {
		given.WebhookURL = stored.WebhookURL
	}
	if strings.HasSuffix(given.WebhookURL, "?****") {
		return nil, dps.Invalid("customAllocationDefinition.webhookUrl", "masked", "has its query masked, and no such URL is stored; give it whole")
	}
	return &given, nil
}

func checkDefaultPolicy(p enrollment.AllocationPolicy) error {
	switch p {
	case enrollment.Hashed, enrollment.GeoLatency, enrollment.Static, enrollment.Custom, enrollment.Capacity:
		return nil
	}
	return dps.Invalid("allocationPolicy", "enum", "of a scope must be hashed, geoLatency, static, custom or capacity")
}

// hostNames folds names and refuses what no Host header can hold.
func hostNames(names []string) ([]string, error) {
	if len(names) > maxHostNames {
		return nil, dps.Invalid("hostNames", "length", "may hold at most "+strconv.Itoa(maxHostNames)+" names")
	}
	out := make([]string, 0, len(names))
	for i, name := range names {
		folded := dps.FoldASCII(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
		if !isHost(folded) {
			return nil, dps.Invalid("hostNames["+strconv.Itoa(i)+"]", "host", "must be a host name or an IP address, without scheme and port")
		}
		if !slices.Contains(out, folded) {
			out = append(out, folded)
		}
	}
	return out, nil
}

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > maxHostLength {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
