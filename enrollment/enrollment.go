package enrollment

import (
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

// AllocationPolicy names how a hub is chosen. Empty means the scope's default at
// the time of registration.
type AllocationPolicy string

// The allocation policies as the service API spells them.
const (
	Hashed     AllocationPolicy = "hashed"
	GeoLatency AllocationPolicy = "geoLatency"
	Static     AllocationPolicy = "static"
	Custom     AllocationPolicy = "custom"
	// Capacity is none of the original's.
	Capacity AllocationPolicy = "capacity"
)

// ReprovisionPolicy says what registering again may change. A nil policy is a value
// of its own: devices of old API versions then stay where they are.
type ReprovisionPolicy struct {
	UpdateHubAssignment bool
	MigrateDeviceData   bool
}

// CustomAllocation is the webhook of the custom policy.
type CustomAllocation struct{ WebhookURL, APIVersion string }

// InitialTwin is what a device's twin holds at first: JSON objects as they were
// written, or nil.
type InitialTwin struct{ Tags, Desired json.RawMessage }

// Settings are what individual enrollments and groups have in common.
type Settings struct {
	Enabled          bool
	AllocationPolicy AllocationPolicy
	Hubs             []string // host names; empty means every linked hub
	LegacyHub        string   // iotHubHostName, as API writers of old set it
	Custom           *CustomAllocation
	// Rule is an expression that narrows the hubs, see package rule; empty: none.
	Rule             string
	Reprovision      *ReprovisionPolicy
	InitialTwin      *InitialTwin
	IoTEdge          bool
	CredentialPolicy string // credentialPolicyName, stored and returned only
	// Residency is the tag that a hub must have to take the entry's devices; nil: none, or
	// in what is to be written, that which is stored.
	Residency        *string
	Lot, Uploader    string // who made the entry, in which production lot
	ETag             dps.ETag
	Created, Updated time.Time
}

// HubNames returns the hubs that the entry names, whichever member named them.
func (s *Settings) HubNames() []string {
	if len(s.Hubs) == 0 && s.LegacyHub != "" {
		return []string{s.LegacyHub}
	}
	return s.Hubs
}

// Individual is an individual enrollment.
type Individual struct {
	ID         dps.RegistrationID // as written; unique when folded
	DeviceID   string             // wanted in the hub; empty means the registration ID
	DeviceInfo json.RawMessage    // optionalDeviceInformation, a JSON object or nil
	Mechanism  attestation.Mechanism
	Settings
}

// Group is an enrollment group.
type Group struct {
	ID        string // as written; unique when folded
	Mechanism attestation.Mechanism
	// IDPrefix limits a symmetric-key group to registration IDs that start with it,
	// compared folded, so that many groups can be told apart by index. Empty: any.
	IDPrefix string
	// AcceptExpired admits devices whose own certificate, or that of whose TPM, has expired,
	// for fleets that can't renew in time; certificates above it must be valid all the same.
	AcceptExpired bool
	Settings
}

// Ref names the entry that admitted a device; exactly one member is set.
type Ref struct {
	Individual dps.RegistrationID `json:"individual,omitempty"`
	Group      string             `json:"group,omitempty"`
}

// IsZero reports whether the reference names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }
