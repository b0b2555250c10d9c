package management

import (
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// Role is what a person or a tool is to a deployment. The zero Role may do nothing.
type Role uint8

// The roles. Each of [RoleViewer], [RoleOperator], [RoleSecurity] and [RoleOwner] may do
// what the one before may; [RoleUploader] stands aside, since it reads nothing.
const (
	RoleNone     Role = iota
	RoleViewer        // reads everything but secrets and the audit log
	RoleUploader      // writes enrollments of its own lots, and reads nothing
	RoleOperator      // manages enrollments, registrations and hubs
	RoleSecurity      // manages certificates, policies, keys and IP filters; reads the audit log
	RoleOwner         // everything, scopes as such too
)

// RoleNames are the roles as the configuration and the API document write them.
func RoleNames() []string {
	return []string{"viewer", "uploader", "operator", "security", "owner"}
}

// ParseRole reads a role's name. Errors: [dps.InvalidArgument].
func ParseRole(name string) (Role, error) {
	if i := slices.Index(RoleNames(), name); i >= 0 {
		return RoleViewer + Role(i), nil //nolint:gosec // one of five
	}
	return RoleNone, dps.Invalid("role", "enum", "must be one of "+strings.Join(RoleNames(), ", "))
}

// String returns the role's name.
func (r Role) String() string {
	if r == RoleNone || r > RoleOwner {
		return "none"
	}
	return RoleNames()[r-RoleViewer]
}

// May reports whether the role may do what the lowest role for it may.
func (r Role) May(lowest Role) bool {
	if r == RoleUploader || r == RoleNone || lowest == RoleNone {
		return r == RoleUploader && lowest == RoleUploader
	}
	return r >= lowest
}

// rights are what the role grants on enrollments and records, in the terms of access
// policies. An uploader has none: its writes go through the import of lots.
func (r Role) rights() scope.Rights {
	switch r {
	case RoleViewer:
		return scope.EnrollmentRead | scope.RegistrationStatusRead
	case RoleOperator, RoleSecurity, RoleOwner:
		return scope.AllRights
	case RoleNone, RoleUploader:
	}
	return 0
}

// Grant is a role, where it holds.
type Grant struct {
	Role Role
	// Scopes are where the role holds; nil: in every scope and in the deployment as such.
	Scopes []dps.IDScope
	// Lots are those that an uploader may write, each a name or a prefix with a star at
	// its end; nil: what the uploader itself began.
	Lots []string
}

func (g Grant) covers(id dps.IDScope) bool {
	return g.Scopes == nil || slices.ContainsFunc(g.Scopes, func(s dps.IDScope) bool { return s.Fold() == id.Fold() })
}

func (g Grant) namesLot(lot string) bool {
	return slices.ContainsFunc(g.Lots, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == lot || open && strings.HasPrefix(lot, prefix)
	})
}

// MayWriteLot reports whether the caller may add entries of a lot to a scope. An
// uploader without lots of its own may name any; what it may replace, [Caller.MayReplace]
// says.
func (c Caller) MayWriteLot(id dps.IDScope, lot string) bool {
	return c.Reaches(id) && slices.ContainsFunc(c.Grants, func(g Grant) bool {
		if !g.covers(id) {
			return false
		}
		return g.Role.May(RoleOperator) || g.Role == RoleUploader && lot != "" && (g.Lots == nil || g.namesLot(lot))
	})
}

// MayReplace reports whether the caller may replace or delete a stored entry: an
// operator any, an uploader those of its lots, or, without named lots, those that it
// wrote.
func (c Caller) MayReplace(id dps.IDScope, stored enrollment.Settings) bool {
	return c.Reaches(id) && slices.ContainsFunc(c.Grants, func(g Grant) bool {
		switch {
		case !g.covers(id):
			return false
		case g.Role == RoleUploader && g.Lots == nil:
			return stored.Uploader != "" && stored.Uploader == c.Actor
		case g.Role == RoleUploader:
			return g.namesLot(stored.Lot)
		}
		return g.Role.May(RoleOperator)
	})
}

// Within returns the grant held to certain scopes; a star among them holds it to none.
func (g Grant) Within(scopes []string) Grant {
	if slices.Contains(scopes, "*") {
		return g
	}
	held := []dps.IDScope{}
	for _, one := range scopes {
		if id := dps.IDScope(one); g.covers(id) {
			held = append(held, id)
		}
	}
	g.Scopes = held
	return g
}
