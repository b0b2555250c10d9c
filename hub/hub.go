package hub

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/zerotouch-dps/dps"
)

// Linked is a hub that a scope may assign devices to.
type Linked struct {
	HostName         string     // what the device is told; unique in the scope when folded
	DialAddress      string     // host:port dialled instead of HostName:443; empty: HostName
	Kind             string     // adapter: "azureiot" or "memory"
	ConnectionString dps.Secret // HostName=…;SharedAccessKeyName=…;SharedAccessKey=…
	// NextConnectionString is tried where the first is refused, so that the hub's key can
	// be rolled without a gap; zero: none.
	NextConnectionString dps.Secret
	TrustedCAs           string // PEM of roots beside the system's; empty: system only
	Location             string
	AllocationWeight     int  // 1 to 1000
	ApplyAllocation      bool // false: no policy chooses it
	// Drain keeps every policy from choosing the hub, and moves a device that is in it
	// elsewhere when it registers again; with policy never it stays.
	Drain bool
	// MaxDevices is how many identities the registrations of the deployment, of all scopes,
	// may have in the hub before no more are assigned. 0: no limit.
	MaxDevices int
	// Residency are the tags that say where the hub's data stays, for enrollments and sites
	// that demand one.
	Residency []string
	// IdentityRate is how many identity operations a minute the hub takes (an Azure S1
	// unit: 100). 0: unmetered.
	IdentityRate int
	// CertificateAuthority makes X.509 group devices authenticate by CA in the hub
	// instead of by the thumbprint of the leaf they presented.
	CertificateAuthority bool
	// RefuseUnclaimed refuses a device ID that exists in the hub and that no
	// registration of ours made; the original adopts it.
	RefuseUnclaimed  bool
	ETag             dps.ETag
	Created, Updated time.Time
}

// ErrThrottled is in the chain of a [dps.HubUnavailable] by which a healthy hub asks
// for fewer calls.
var ErrThrottled = errors.New("the hub throttles")

// AuthType is how a device identifies itself to the hub; the texts are IoT Hub's.
type AuthType string

// The types of authentication.
const (
	AuthSAS         AuthType = "sas"
	AuthThumbprint  AuthType = "selfSigned"
	AuthCertificate AuthType = "certificateAuthority"
	AuthNone        AuthType = "none"
)

// Auth is a device identity's credential: base64 keys or hex thumbprints.
type Auth struct {
	Type      AuthType   `json:"type"`
	Primary   dps.Secret `json:"-"`
	Secondary dps.Secret `json:"-"`
}

// Twin is what a service may write of a device twin: JSON objects, or nil.
type Twin struct{ Tags, Desired json.RawMessage }

// Mode says what a Put may do to an identity that exists already.
type Mode int

// The modes; they are stored, so the numbers stay. Each creates a missing identity with
// credential, twin and capabilities in one step. Capabilities are written whenever the credential is; the status of an
// identity that exists is its operator's and stays.
const (
	// Create is a first assignment: an identity that exists is written with the
	// credential, conditionally on the etag read, even if it has it: so that a removal
	// of that very identity, still on its way, finds it changed. Twin and status stay.
	Create Mode = iota
	// Ensure is a further registration: only a credential that differs is written.
	Ensure
	// Reset writes twin and, where it differs, credential.
	Reset
	// Move is an assignment in another hub than before: as Create, but an identity that
	// exists there is what the device left behind once, and gets the twin too; Enable goes
	// with it.
	Move
)

// Want is the identity that a registration needs.
type Want struct {
	DeviceID string
	Auth     Auth
	Twin     Twin
	IoTEdge  bool
	Mode     Mode
	// OnlyOwn refuses, in modes Create and Move, an identity that exists with another credential
	// ([dps.DeviceIDTaken]).
	OnlyOwn bool
	// Enable writes an identity that exists in any case, enabled: we disabled it, or that is
	// still on its way, and must find it changed.
	Enable bool
}

// Placed is an identity as the hub holds it after a Put.
type Placed struct {
	// GenerationID and ETag are empty when the call that made the identity does not
	// tell them; a Get does.
	GenerationID string
	ETag         string
	// Created tells that this call made the identity.
	Created bool
	// Payload is what the device needs beyond the host name (port, user name, …), for
	// hubs that are not Azure's; a JSON object or nil.
	Payload json.RawMessage
}

// Device is an identity read from a hub.
type Device struct {
	DeviceID     string
	GenerationID string
	ETag         string
	Enabled      bool
	Auth         Auth
	IoTEdge      bool
	Twin         Twin // tags and desired without $version and $metadata
}

// Capabilities say what a hub product can do.
type Capabilities struct {
	SAS, Thumbprint, CertificateAuthority, Twins, Edge bool
	MaxBulk                                            int // identities per call; 1: no bulk
}

// Probe is what a test of the link found.
type Probe struct {
	RegistryRead   bool  `json:"registryRead"`
	RegistryWrite  bool  `json:"registryWrite"`
	ServiceConnect bool  `json:"serviceConnect"`
	Devices        int64 `json:"devices"`
}

// Registry is the identity registry of one linked hub. Calls are idempotent and safe
// for concurrent use; ctx bears the deadline.
//
// Errors, from any method: [dps.HubUnauthorized], [dps.HubNotFound], [dps.HubFull],
// [dps.HubRejected] are final; [dps.HubUnavailable] (RetryAfter when the hub said
// so; wrapping [ErrThrottled] when it said no more than "slower") is worth another
// try.
type Registry interface {
	// Probe tells whether the link works.
	Probe(ctx context.Context) (Probe, error)
	// Get returns an identity and its twin. Errors: [dps.HubDeviceNotFound].
	Get(ctx context.Context, deviceID string) (Device, error)
	// Put makes the identity as w says, create-only or conditionally on an etag read in
	// the same call, never blindly. Errors: [dps.DeviceIDTaken].
	Put(ctx context.Context, w Want) (Placed, error)
	// Delete deletes an identity whose etag is ifMatch. Errors:
	// [dps.HubDeviceNotFound], [dps.PreconditionFailed].
	Delete(ctx context.Context, deviceID, ifMatch string) error
	// Disable keeps an identity whose etag is ifMatch from connecting; it stays as it is
	// otherwise. Errors as of Delete.
	Disable(ctx context.Context, deviceID, ifMatch string) error
	// List returns up to limit identities in the hub's own order, and a token for the
	// next page, empty at the end. Twins, generation IDs and SAS keys may be absent.
	List(ctx context.Context, after string, limit int) (devices []Device, next string, err error)
	// Capabilities returns what the product can do.
	Capabilities() Capabilities
	// Close releases connections.
	Close() error
}

// Fresh reports whether the mode expects no identity: creating is tried first.
func (m Mode) Fresh() bool { return m == Create || m == Move }

// WritesTwin reports whether the twin of an identity that exists is replaced.
func (m Mode) WritesTwin() bool { return m == Reset || m == Move }

// BulkPutter is a Registry that takes several first assignments in one call.
type BulkPutter interface {
	// PutBulk makes up to Capabilities().MaxBulk identities, mode Create each; the
	// results stand in the order of wants.
	PutBulk(ctx context.Context, wants []Want) []BulkResult
}

// BulkResult is the outcome of one identity of a bulk call.
type BulkResult struct {
	Placed Placed
	Err    error
}
