package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const maxKeyName = 64 // bytes

// Policies returns the access policies of a scope by name, keys included, which
// surfaces must mask. Errors: [dps.NotFound], and those of a caller below
// [RoleViewer].
func (s *Service) Policies(ctx context.Context, c Caller, id dps.IDScope) ([]scope.AccessPolicy, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Scopes.Policies(ctx, id)
}

// Policy returns one access policy. Errors: as [Service.Policies].
func (s *Service) Policy(ctx context.Context, c Caller, id dps.IDScope, keyName string) (scope.AccessPolicy, error) {
	all, err := s.Policies(ctx, c, id)
	if err != nil {
		return scope.AccessPolicy{}, err
	}
	for _, p := range all {
		if dps.FoldASCII(p.Name) == dps.FoldASCII(keyName) {
			return p, nil
		}
	}
	return scope.AccessPolicy{}, dps.Errorf(dps.NotFound, "there is no access policy %q in this scope", keyName)
}

// PolicyChange are the members of a policy to set; nil leaves one as it is, or gives a
// new policy every right and generated keys.
type PolicyChange struct {
	If                 enrollment.Precondition
	Rights             *scope.Rights
	Primary, Secondary *dps.Secret // base64
}

// PutPolicy creates or replaces an access policy. Errors: [dps.NotFound] (scope),
// [dps.AlreadyExists] (also: a scope that shares a host name has a policy of this name),
// [dps.PreconditionFailed], [dps.InvalidArgument], and those of a caller below
// [RoleSecurity].
func (s *Service) PutPolicy(ctx context.Context, c Caller, id dps.IDScope, keyName string, change PolicyChange) (scope.AccessPolicy, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.AccessPolicy{}, err
	}
	if err := checkKeyName(keyName); err != nil {
		return scope.AccessPolicy{}, err
	}
	stored, err := s.Policy(ctx, c, id, keyName)
	found := err == nil
	if err != nil && !dps.Is(err, dps.NotFound) {
		return scope.AccessPolicy{}, err
	}
	p, err := upsert(found, stored.ETag, change.If)
	if err != nil {
		return scope.AccessPolicy{}, err
	}
	if !found {
		stored = scope.AccessPolicy{Name: keyName, Rights: scope.AllRights}
	}
	next, err := s.applyPolicy(change, stored)
	if err != nil {
		return scope.AccessPolicy{}, err
	}
	ctx = s.audited(ctx, c, entry{id, "policy.put", next.Name, map[string]any{"rights": next.Rights.Names()}})
	return s.d.Scopes.PutPolicy(ctx, id, next, p)
}

// DeletePolicy deletes an access policy; its tokens are refused at once. Errors:
// [dps.NotFound], [dps.PreconditionFailed], and those of a caller below
// [RoleSecurity].
func (s *Service) DeletePolicy(ctx context.Context, c Caller, id dps.IDScope, keyName, ifMatch string) error {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return err
	}
	ctx = s.audited(ctx, c, entry{id, "policy.delete", keyName, nil})
	return s.d.Scopes.DeletePolicy(ctx, id, keyName, enrollment.Precondition{IfMatch: ifMatch})
}

// PolicyKeys is a policy with the connection strings of its keys, empty when the scope
// has no host name.
type PolicyKeys struct {
	scope.AccessPolicy
	PrimaryConnection, SecondaryConnection dps.Secret
}

// RevealPolicy returns a policy's keys, and leaves a record of that. Errors:
// [dps.NotFound], and those of a caller below [RoleSecurity].
func (s *Service) RevealPolicy(ctx context.Context, c Caller, id dps.IDScope, keyName string) (PolicyKeys, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return PolicyKeys{}, err
	}
	p, err := s.Policy(ctx, c, id, keyName)
	if err != nil {
		return PolicyKeys{}, err
	}
	owner, err := s.d.Scopes.Get(ctx, id)
	if err != nil {
		return PolicyKeys{}, err
	}
	if err := s.audit(ctx, c, entry{id, "policy.reveal", p.Name, nil}); err != nil {
		return PolicyKeys{}, err
	}
	keys := PolicyKeys{AccessPolicy: p}
	if len(owner.HostNames) > 0 {
		keys.PrimaryConnection = connectionString(owner.HostNames[0], p.Name, p.Primary)
		keys.SecondaryConnection = connectionString(owner.HostNames[0], p.Name, p.Secondary)
	}
	return keys, nil
}

// connectionString writes the form that the service SDKs read. It holds the key.
func connectionString(host, keyName string, key dps.Secret) dps.Secret {
	return dps.NewSecret("HostName=" + host + ";SharedAccessKeyName=" + keyName + ";SharedAccessKey=" + key.Reveal())
}

func (s *Service) applyPolicy(change PolicyChange, p scope.AccessPolicy) (scope.AccessPolicy, error) {
	set(change.Rights, &p.Rights)
	set(change.Primary, &p.Primary)
	set(change.Secondary, &p.Secondary)
	for _, slot := range []struct {
		field string
		key   *dps.Secret
	}{{"primaryKey", &p.Primary}, {"secondaryKey", &p.Secondary}} {
		if slot.key.IsZero() {
			made, err := s.newKey()
			if err != nil {
				return p, err
			}
			*slot.key = made
		}
		kept, err := enrollment.ParseKey(slot.field, slot.key.Reveal())
		if err != nil {
			return p, err
		}
		*slot.key = kept
	}
	p.Updated = s.d.Now()
	return p, nil
}

// checkKeyName allows what the clients' connection string parsers allow.
func checkKeyName(name string) error {
	if name == "" || len(name) > maxKeyName {
		return dps.Invalid("keyName", "length", "must have 1 to 64 characters")
	}
	for i := range len(name) {
		if !nameByte(name[i]) && name[i] != '@' {
			return dps.Invalid("keyName", "charset", "may hold only letters, digits, '_', '-', '@' and '.'")
		}
	}
	return nil
}
