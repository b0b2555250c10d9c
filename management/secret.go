package management

import (
	"context"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// maxSecrets bounds the resources of one comparison.
const maxSecrets = 100

// SecretOwner is a kind of resource that has secrets.
type SecretOwner string

// The kinds of resources that have secrets.
const (
	HubSecrets        SecretOwner = "linkedHub"
	PolicySecrets     SecretOwner = "policy"
	WebhookSecrets    SecretOwner = "webhook"
	HookSecrets       SecretOwner = "hook"
	GroupSecrets      SecretOwner = "enrollmentGroup"
	IndividualSecrets SecretOwner = "enrollment"
)

// SecretQuestion is what a caller takes for the secrets of one resource, by member.
type SecretQuestion struct {
	Owner   SecretOwner
	Name    string
	Secrets map[string]dps.Secret // of which only connectionString, primaryKey, secondaryKey, secret and clientKey are there
}

// CompareSecrets returns for each question the members that are not those that are
// stored, by which a tool finds out what it has to write without a secret being
// revealed. Where there is no such resource, or it has no such secret, all differ.
// Errors: [dps.NotFound] (scope), [dps.InvalidArgument], and those of a caller below
// [RoleOperator], with access policies, webhooks and hooks below [RoleSecurity].
func (s *Service) CompareSecrets(ctx context.Context, c Caller, id dps.IDScope, questions []SecretQuestion) ([][]string, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return nil, err
	}
	if len(questions) > maxSecrets {
		return nil, dps.Invalid("value", "length", "may hold at most "+strconv.Itoa(maxSecrets)+" resources")
	}
	out := make([][]string, len(questions))
	for i, q := range questions {
		stored, err := s.secretsOf(ctx, c, id, q)
		if err != nil {
			return nil, err
		}
		for _, member := range []string{"connectionString", "primaryKey", "secondaryKey", "secret", "clientKey"} {
			if given, ok := q.Secrets[member]; ok && (stored[member].IsZero() || !sameSecret(member, given, stored[member])) {
				out[i] = append(out[i], member)
			}
		}
	}
	return out, nil
}

// sameSecret compares what is given with what is stored. Keys are stored in one line.
func sameSecret(member string, given, stored dps.Secret) bool {
	if member == "primaryKey" || member == "secondaryKey" {
		given, stored = inOneLine(given), inOneLine(stored)
	}
	return given.Equal(stored)
}

func inOneLine(key dps.Secret) dps.Secret {
	kept, err := enrollment.ParseKey("", key.Reveal())
	if err != nil { // no key, and so none of those that are stored
		return key
	}
	return kept
}

func (s *Service) secretsOf(ctx context.Context, c Caller, id dps.IDScope, q SecretQuestion) (map[string]dps.Secret, error) {
	none := map[string]dps.Secret{}
	switch q.Owner {
	case HubSecrets:
		l, err := s.Hub(ctx, c, id, q.Name)
		if dps.Is(err, dps.NotFound) {
			return none, s.scopeExists(ctx, id)
		}
		return map[string]dps.Secret{"connectionString": l.ConnectionString}, err
	case PolicySecrets:
		if err := c.Demand(id, RoleSecurity); err != nil {
			return nil, err
		}
		p, err := s.Policy(ctx, c, id, q.Name)
		if dps.Is(err, dps.NotFound) {
			return none, s.scopeExists(ctx, id)
		}
		return map[string]dps.Secret{"primaryKey": p.Primary, "secondaryKey": p.Secondary}, err
	case WebhookSecrets:
		if err := c.Demand(id, RoleSecurity); err != nil {
			return nil, err
		}
		w, err := s.Webhook(ctx, c, id, q.Name)
		if dps.Is(err, dps.NotFound) {
			return none, s.scopeExists(ctx, id)
		}
		return map[string]dps.Secret{"secret": w.Secret, "clientKey": w.Key}, err
	case HookSecrets:
		if err := c.Demand(id, RoleSecurity); err != nil {
			return nil, err
		}
		h, err := s.Hook(ctx, c, id, q.Name)
		if dps.Is(err, dps.NotFound) {
			return none, s.scopeExists(ctx, id)
		}
		return map[string]dps.Secret{"secret": h.Secret, "clientKey": h.Key}, err
	case GroupSecrets:
		g, err := s.group(ctx, id, q.Name)
		if dps.Is(err, dps.GroupNotFound) {
			return none, nil
		}
		return symmetricKeys(g.Mechanism), err
	case IndividualSecrets:
		e, err := s.individual(ctx, id, dps.RegistrationID(q.Name))
		if dps.Is(err, dps.EnrollmentNotFound) {
			return none, nil
		}
		return symmetricKeys(e.Mechanism), err
	}
	return nil, dps.Invalid("kind", "enum", "must be linkedHub, policy, webhook, hook, enrollmentGroup or enrollment")
}

func (s *Service) scopeExists(ctx context.Context, id dps.IDScope) error {
	_, err := s.d.Scopes.Get(ctx, id)
	return err
}

func symmetricKeys(m attestation.Mechanism) map[string]dps.Secret {
	switch m := m.(type) {
	case attestation.SymmetricKey:
		return map[string]dps.Secret{"primaryKey": m.Primary, "secondaryKey": m.Secondary}
	case attestation.GroupKey:
		return map[string]dps.Secret{"primaryKey": m.Primary, "secondaryKey": m.Secondary}
	case attestation.X509Leaf, attestation.X509CA, attestation.TPM, attestation.GroupTPM:
	}
	return nil
}
