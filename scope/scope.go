package scope

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// Scope is one provisioning service.
type Scope struct {
	ID               dps.IDScope
	HostNames        []string                    // service API hosts, folded, no port; unique in the deployment
	AllocationPolicy enrollment.AllocationPolicy // the default; never empty
	// Custom is the webhook of the default policy, when that is custom.
	Custom *enrollment.CustomAllocation
	// TrustInlineSigning admits groups whose inline signing certificate does not roll
	// up to a verified CA.
	TrustInlineSigning bool
	// DisableLocalAuth refuses shared access signatures on the service API: identity
	// providers alone say who may.
	DisableLocalAuth bool
	// FilterQueries has the service API obey the text of queries, which the original
	// ignores.
	FilterQueries    bool
	MinTLSVersion    string // [TLS12] or [TLS13]; empty: TLS12
	IPFilter         IPFilter
	Limits           Limits
	WhenRevoked      WhenRevoked
	CertificateRules CertificateRules
	Events           Events
	ETag             dps.ETag
	Created, Updated time.Time
}

// Validate holds who may connect and the limits to their rules. Errors:
// [dps.InvalidArgument].
func (s Scope) Validate() error {
	if err := checkTLS(s.MinTLSVersion); err != nil {
		return err
	}
	if err := s.Limits.validate(); err != nil {
		return err
	}
	if err := s.WhenRevoked.validate(); err != nil {
		return err
	}
	if err := s.CertificateRules.validate(); err != nil {
		return err
	}
	if err := s.checkCustom(); err != nil {
		return err
	}
	if err := s.Events.validate(); err != nil {
		return err
	}
	return s.IPFilter.Validate()
}

func (s Scope) checkCustom() error {
	if s.Custom == nil && s.AllocationPolicy == enrollment.Custom {
		return dps.Invalid("customAllocationDefinition", "custom", "is required with allocationPolicy custom")
	}
	if s.Custom == nil {
		return nil
	}
	return s.Custom.Check()
}

// Rights are what an access policy grants.
type Rights uint8

// The rights of the original.
const (
	ServiceConfig Rights = 1 << iota
	EnrollmentRead
	EnrollmentWrite
	DeviceConnect
	RegistrationStatusRead
	RegistrationStatusWrite
	AllRights = ServiceConfig | EnrollmentRead | EnrollmentWrite | RegistrationStatusRead | RegistrationStatusWrite
)

// Has reports whether all of want are granted.
func (r Rights) Has(want Rights) bool { return r&want == want }

// AccessPolicy is a named pair of keys and the rights that a token signed with
// either has.
type AccessPolicy struct {
	Name               string // unique in the scope when folded
	Primary, Secondary dps.Secret
	Rights             Rights
	ETag               dps.ETag
	Created, Updated   time.Time
}

// Authority is an uploaded CA certificate.
type Authority struct {
	Name             string // 1 to 64 characters, unique in the scope when folded
	Certificate      attestation.Certificate
	Verified         bool
	Verification     *Verification // nil: no code is waiting to be proven
	Revocation       Revocation
	ETag             dps.ETag
	Created, Updated time.Time
}

// Verification is a proof of possession that has been asked for.
type Verification struct {
	Code       string    // that the common name of the proof must be
	Expires    time.Time // of the code
	Thumbprint string    // SHA-256 of the certificate that it is for
}

// Snapshot is the configuration of a scope at one version: what admission and
// allocation need beside enrollments. Values are shared; nobody writes them.
type Snapshot struct {
	Version     int64 // bumped by every change of what stands here
	Scope       Scope
	Hubs        []hub.Linked // by host name
	Authorities []Authority  // by name
	Denials     []Denial     // by kind, value and issuer
	Webhooks    []Webhook    // by host
	Moves       []Move       // that are active, the oldest first; their counts are of no use
	Sites       []Site       // by network
	// KeyPrefixLengths are the distinct lengths of IDPrefix of the scope's
	// symmetric-key groups, ascending.
	KeyPrefixLengths []int
}

// Store keeps scopes and what belongs to them. Methods are safe for concurrent use.
// Every write bumps the scope's configuration version in the same commit.
type Store interface {
	// Create makes a scope. Errors: [dps.AlreadyExists] (ID, or a host name is taken
	// by a scope with a policy of the same name).
	Create(ctx context.Context, s Scope) (Scope, error)
	// Get returns a scope. Errors: [dps.NotFound].
	Get(ctx context.Context, id dps.IDScope) (Scope, error)
	// Update replaces host names and defaults. Errors: [dps.NotFound],
	// [dps.PreconditionFailed], [dps.AlreadyExists].
	Update(ctx context.Context, s Scope, p enrollment.Precondition) (Scope, error)
	// List returns every scope by ID.
	List(ctx context.Context) ([]Scope, error)
	// Delete deletes a scope that holds nothing. Errors: [dps.NotFound], [dps.InUse].
	Delete(ctx context.Context, id dps.IDScope, p enrollment.Precondition) error
	// ByHost returns the scopes that own a service host name (folded, no port) and
	// their access policies; empty when none does.
	ByHost(ctx context.Context, host string) ([]HostOwner, error)
	// Snapshot returns the configuration. Errors: [dps.NotFound].
	Snapshot(ctx context.Context, id dps.IDScope) (Snapshot, error)

	// Policies returns the access policies by name.
	Policies(ctx context.Context, id dps.IDScope) ([]AccessPolicy, error)
	// PutPolicy creates or replaces. Errors: [dps.NotFound] (scope),
	// [dps.PreconditionFailed], [dps.AlreadyExists] (a scope that shares a host name has
	// a policy of this name, or p.Absent and it exists).
	PutPolicy(ctx context.Context, id dps.IDScope, a AccessPolicy, p enrollment.Precondition) (AccessPolicy, error)
	// DeletePolicy deletes. Errors: [dps.NotFound], [dps.PreconditionFailed].
	DeletePolicy(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) error

	// Authorities returns the CA certificates by name.
	Authorities(ctx context.Context, id dps.IDScope) ([]Authority, error)
	// PutAuthority creates or replaces; what is not described as uploaded any more is
	// deleted. Errors: [dps.NotFound] (scope), [dps.AlreadyExists],
	// [dps.PreconditionFailed].
	PutAuthority(ctx context.Context, id dps.IDScope, a Authority, p enrollment.Precondition) (Authority, error)
	// AuthorityGroups returns up to 100 groups that refer to a CA certificate by its name.
	AuthorityGroups(ctx context.Context, id dps.IDScope, name string) ([]string, error)
	// DeleteAuthority deletes with its uploaded list, also when groups refer to it (breach procedure); it
	// returns up to 100 groups that did. Errors: [dps.NotFound], [dps.PreconditionFailed].
	DeleteAuthority(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) ([]string, error)

	// Denials returns the deny list by kind, value and issuer.
	Denials(ctx context.Context, id dps.IDScope) ([]Denial, error)
	// PutDenials adds normalized entries, or replaces their notes. Errors: [dps.NotFound]
	// (scope), [dps.QuotaReached] (there would be more than [MaxDenials]).
	PutDenials(ctx context.Context, id dps.IDScope, list []Denial) error
	// DeleteDenial takes a normalized entry off. Errors: [dps.NotFound].
	DeleteDenial(ctx context.Context, id dps.IDScope, d Denial) error

	// Webhooks returns what is said about webhooks, by host.
	Webhooks(ctx context.Context, id dps.IDScope) ([]Webhook, error)
	// PutWebhook creates or replaces. Errors: [dps.NotFound] (scope), [dps.AlreadyExists],
	// [dps.PreconditionFailed], [dps.QuotaReached] (there would be more than
	// [MaxWebhooks]).
	PutWebhook(ctx context.Context, id dps.IDScope, w Webhook, p enrollment.Precondition) (Webhook, error)
	// DeleteWebhook deletes. Errors: [dps.NotFound], [dps.PreconditionFailed].
	DeleteWebhook(ctx context.Context, id dps.IDScope, host string, p enrollment.Precondition) error

	// Moves returns the moves that are active or kept, the oldest first.
	Moves(ctx context.Context, id dps.IDScope) ([]Move, error)
	// Move returns one by its name. Errors: [dps.NotFound].
	Move(ctx context.Context, id dps.IDScope, name string) (Move, error)
	// CreateMove adds a move, whose devices are not counted yet. Errors: [dps.NotFound]
	// (scope), [dps.AlreadyExists], [dps.QuotaReached] ([MaxMoves] are active).
	CreateMove(ctx context.Context, id dps.IDScope, m Move) (Move, error)
	// ChangeMove sets state, pace and end of the move of a name, and returns it. Errors:
	// [dps.NotFound], [dps.PreconditionFailed].
	ChangeMove(ctx context.Context, id dps.IDScope, m Move, p enrollment.Precondition) (Move, error)
	// UncountedMoves claims, until a time, the active moves of all scopes whose devices are
	// not counted.
	UncountedMoves(ctx context.Context, now, until time.Time) ([]MoveRef, error)
	// CountedMove says how many devices a move selects, once.
	CountedMove(ctx context.Context, m MoveRef, selected int64) error
	// EndMoves ends the running moves of all scopes that have moved what they select, and
	// returns them.
	EndMoves(ctx context.Context, now time.Time) ([]MoveRef, error)
	// Sites returns the table of sites; without rows and etag when there is none.
	Sites(ctx context.Context, id dps.IDScope) (SiteTable, error)
	// PutSites replaces the table. Errors: [dps.NotFound] (scope),
	// [dps.PreconditionFailed].
	PutSites(ctx context.Context, id dps.IDScope, t SiteTable, p enrollment.Precondition) (SiteTable, error)

	// CRL returns the DER of the list that was uploaded for a CA certificate. Errors:
	// [dps.NotFound].
	CRL(ctx context.Context, id dps.IDScope, name string) ([]byte, error)
	// PutCRL stores a list for a CA certificate and what describes it, in one commit.
	// Errors: [dps.NotFound], [dps.PreconditionFailed].
	PutCRL(ctx context.Context, id dps.IDScope, name string, u UploadedCRL, der []byte, p enrollment.Precondition) (Authority, error)
	// DeleteCRL deletes it. Errors: [dps.NotFound], [dps.PreconditionFailed].
	DeleteCRL(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) (Authority, error)

	// Hubs returns the linked hubs by host name.
	Hubs(ctx context.Context, id dps.IDScope) ([]hub.Linked, error)
	// PutHub creates or replaces a link. Errors: [dps.NotFound] (scope),
	// [dps.AlreadyLinked] (p.Absent and it exists), [dps.PreconditionFailed].
	PutHub(ctx context.Context, id dps.IDScope, l hub.Linked, p enrollment.Precondition) (hub.Linked, error)
	// DeleteHub unlinks. Errors: [dps.NotFound], [dps.PreconditionFailed].
	DeleteHub(ctx context.Context, id dps.IDScope, hostName string, p enrollment.Precondition) error
}

// HostOwner is a scope found by a service host name, with its policies.
type HostOwner struct {
	Scope    Scope
	Policies []AccessPolicy
}
