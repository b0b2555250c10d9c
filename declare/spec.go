package declare

// Scope is what a file says of one ID scope. A list that is nil is not mentioned: what
// the scope has of that kind stays as it is, also when pruning.
type Scope struct {
	place `yaml:"-"`

	Service          *Service         `yaml:"service,omitempty"`
	Denials          []Denial         `yaml:"denials,omitempty"`
	LinkedHubs       []Hub            `yaml:"linkedHubs,omitempty"`
	Certificates     []Certificate    `yaml:"certificates,omitempty"`
	Policies         []Policy         `yaml:"policies,omitempty"`
	Webhooks         []Webhook        `yaml:"webhooks,omitempty"`
	Hooks            []Hook           `yaml:"hooks,omitempty"`
	IPFilterRules    []IPRule         `yaml:"ipFilterRules,omitempty"`
	Sites            []Site           `yaml:"sites,omitempty"`
	EnrollmentGroups []Group          `yaml:"enrollmentGroups,omitempty"`
	Enrollments      []Enrollment     `yaml:"enrollments,omitempty"`
	EnrollmentFiles  []EnrollmentFile `yaml:"enrollmentFiles,omitempty"`
}

// Service are the settings of the scope itself. What is left out stays.
type Service struct {
	place `yaml:"-"`

	IDScope                        string            `yaml:"idScope,omitempty"`
	HostNames                      *[]string         `yaml:"hostNames,omitempty"`
	AllocationPolicy               string            `yaml:"allocationPolicy,omitempty"`
	CustomAllocationDefinition     *CustomAllocation `yaml:"customAllocationDefinition,omitempty"`
	TrustInlineSigningCertificates *bool             `yaml:"trustInlineSigningCertificates,omitempty"`
	FilterQueries                  *bool             `yaml:"filterQueries,omitempty"`
	DisableLocalAuth               *bool             `yaml:"disableLocalAuth,omitempty"`
	MinTLSVersion                  string            `yaml:"minTlsVersion,omitempty"`
	Limits                         *Limits           `yaml:"limits,omitempty"`
	WhenRevoked                    string            `yaml:"whenRevoked,omitempty"`
	CertificateRules               *CertificateRules `yaml:"certificateRules,omitempty"`
	Events                         *Events           `yaml:"events,omitempty"`
}

// CertificateRules are what devices' certificates are held to. They are replaced as a
// whole.
type CertificateRules struct {
	MaxChainLength    *int     `yaml:"maxChainLength,omitempty"`
	MinRSABits        *int     `yaml:"minRsaBits,omitempty"`
	Algorithms        []string `yaml:"algorithms,omitempty"`
	RequireClientAuth *bool    `yaml:"requireClientAuth,omitempty"`
}

// Denial is an entry of the deny list.
type Denial struct {
	place `yaml:"-"`

	Kind   string  `yaml:"kind"`
	Value  string  `yaml:"value"`
	Issuer string  `yaml:"issuer,omitempty"`
	Note   *string `yaml:"note,omitempty"` // left out, it stays
}

// Limits bound what a scope may hold; an absent number is the profile's.
type Limits struct {
	Profile                      string `yaml:"profile,omitempty"`
	LinkedHubs                   *int   `yaml:"linkedHubs,omitempty"`
	Certificates                 *int   `yaml:"certificates,omitempty"`
	X509EnrollmentGroups         *int   `yaml:"x509EnrollmentGroups,omitempty"`
	SymmetricKeyEnrollmentGroups *int   `yaml:"symmetricKeyEnrollmentGroups,omitempty"`
}

// Source says where a text that is not in the file comes from; one member is set.
type Source struct {
	place `yaml:"-"`

	File string `yaml:"file,omitempty"` // relative to the file that names it
	Env  string `yaml:"env,omitempty"`  // an environment variable
}

// Hub is a linked hub. Without a connection string a link keeps the one it has.
type Hub struct {
	place `yaml:"-"`

	Name                    string  `yaml:"name,omitempty"`     // host name; default: that of the connection string
	Embedded                string  `yaml:"embedded,omitempty"` // host name of a hub that the deployment itself has linked
	ConnectionString        Secret  `yaml:"connectionString,omitempty"`
	ConnectionStringFrom    *Source `yaml:"connectionStringFrom,omitempty"`
	Kind                    string  `yaml:"kind,omitempty"` // left out, it stays
	DialAddress             string  `yaml:"dialAddress,omitempty"`
	TrustedCertificates     string  `yaml:"trustedCertificates,omitempty"`
	TrustedCertificatesFrom *Source `yaml:"trustedCertificatesFrom,omitempty"`
	Location                string  `yaml:"location,omitempty"`
	AllocationWeight        *int    `yaml:"allocationWeight,omitempty"`
	ApplyAllocationPolicy   *bool   `yaml:"applyAllocationPolicy,omitempty"`
	IdentityRate            *int    `yaml:"identityRate,omitempty"`
	GroupX509               string  `yaml:"groupX509,omitempty"`
	Adopt                   *bool   `yaml:"adopt,omitempty"`
	Drain                   *bool   `yaml:"drain,omitempty"`
	MaxDevices              *int    `yaml:"maxDevices,omitempty"`
	// Residency are the tags that say where the hub's data stays.
	Residency []string `yaml:"residency,omitempty"`
}

// Certificate is a CA certificate, PEM or base64 of DER.
type Certificate struct {
	place `yaml:"-"`

	Name        string `yaml:"name,omitempty"`
	Certificate string `yaml:"certificate,omitempty"`
	File        string `yaml:"file,omitempty"`
	IsVerified  *bool  `yaml:"isVerified,omitempty"` // left out, it stays
	// Revocation stays, too, when it is left out; else it is replaced as a whole. An
	// uploaded list is no part of it.
	Revocation *Revocation `yaml:"revocation,omitempty"`
}

// Revocation says how certificates that a CA issued are looked up.
type Revocation struct {
	CRLURL      string `yaml:"crlUrl,omitempty"`
	OCSPURL     string `yaml:"ocspUrl,omitempty"`
	WhenUnknown string `yaml:"whenUnknown,omitempty"`
}

// Policy is an access policy. Keys that are left out are kept, or generated.
type Policy struct {
	place `yaml:"-"`

	KeyName          string   `yaml:"keyName,omitempty"`
	Rights           []string `yaml:"rights,omitempty"` // left out: all for a new policy, else they stay
	PrimaryKey       Secret   `yaml:"primaryKey,omitempty"`
	PrimaryKeyFrom   *Source  `yaml:"primaryKeyFrom,omitempty"`
	SecondaryKey     Secret   `yaml:"secondaryKey,omitempty"`
	SecondaryKeyFrom *Source  `yaml:"secondaryKeyFrom,omitempty"`
}

// IPRule is a rule of the IP filter. The list is the whole filter, in order.
type IPRule struct {
	place `yaml:"-"`

	FilterName string `yaml:"filterName"`
	Action     string `yaml:"action"`
	IPMask     string `yaml:"ipMask"`
	Target     string `yaml:"target,omitempty"`
}

// Settings are what groups and individual enrollments have in common.
type Settings struct {
	Attestation                *Attestation      `yaml:"attestation,omitempty"`
	ProvisioningStatus         string            `yaml:"provisioningStatus,omitempty"`
	AllocationPolicy           string            `yaml:"allocationPolicy,omitempty"`
	IotHubs                    []string          `yaml:"iotHubs,omitempty"`
	IotHubHostName             string            `yaml:"iotHubHostName,omitempty"`
	ReprovisionPolicy          *Reprovision      `yaml:"reprovisionPolicy,omitempty"`
	CustomAllocationDefinition *CustomAllocation `yaml:"customAllocationDefinition,omitempty"`
	AllocationRule             *string           `yaml:"allocationRule,omitempty"` // left out, it stays
	InitialTwin                *Twin             `yaml:"initialTwin,omitempty"`
	Capabilities               *Capabilities     `yaml:"capabilities,omitempty"`
	CredentialPolicyName       string            `yaml:"credentialPolicyName,omitempty"`
	// Residency is the tag that hubs must have; left out, it stays.
	Residency *string `yaml:"residency,omitempty"`
}

// Group is an enrollment group.
type Group struct {
	place `yaml:"-"`

	EnrollmentGroupID    string `yaml:"enrollmentGroupId,omitempty"`
	RegistrationIDPrefix string `yaml:"registrationIdPrefix,omitempty"` // left out, it stays
	// AcceptExpiredCertificates stays, too.
	AcceptExpiredCertificates *bool `yaml:"acceptExpiredCertificates,omitempty"`
	Settings                  `yaml:",inline"`
}

// Enrollment is an individual enrollment.
type Enrollment struct {
	place `yaml:"-"`

	RegistrationID            string `yaml:"registrationId,omitempty"`
	DeviceID                  string `yaml:"deviceId,omitempty"`
	OptionalDeviceInformation JSON   `yaml:"optionalDeviceInformation,omitempty"`
	Settings                  `yaml:",inline"`
}

// EnrollmentFile is a lot: a file that an import takes.
type EnrollmentFile struct {
	place `yaml:"-"`

	File       string   `yaml:"file"`
	Lot        string   `yaml:"lot"` // tells its enrollments from declared ones, which alone are pruned
	Columns    []string `yaml:"columns,omitempty"`
	Delimiter  string   `yaml:"delimiter,omitempty"`
	DeriveFrom string   `yaml:"deriveFrom,omitempty"`
}

// Attestation says how devices prove themselves.
type Attestation struct {
	place `yaml:"-"`

	Type         string        `yaml:"type,omitempty"`
	SymmetricKey *SymmetricKey `yaml:"symmetricKey,omitempty"`
	X509         *X509         `yaml:"x509,omitempty"`
	TPM          *TPM          `yaml:"tpm,omitempty"`
}

// SymmetricKey holds keys; those that are left out are kept, or generated.
type SymmetricKey struct {
	place `yaml:"-"`

	PrimaryKey       Secret  `yaml:"primaryKey,omitempty"`
	PrimaryKeyFrom   *Source `yaml:"primaryKeyFrom,omitempty"`
	SecondaryKey     Secret  `yaml:"secondaryKey,omitempty"`
	SecondaryKeyFrom *Source `yaml:"secondaryKeyFrom,omitempty"`
}

// X509 has one of its members.
type X509 struct {
	ClientCertificates  *Slots      `yaml:"clientCertificates,omitempty"`
	SigningCertificates *Slots      `yaml:"signingCertificates,omitempty"`
	CAReferences        *References `yaml:"caReferences,omitempty"`
}

// Slots hold certificates.
type Slots struct {
	Primary   *Slot `yaml:"primary,omitempty"`
	Secondary *Slot `yaml:"secondary,omitempty"`
}

// Slot is one certificate, PEM or base64 of DER, here or in a file; or the thumbprint of
// the one that is stored.
type Slot struct {
	place `yaml:"-"`

	Certificate      string `yaml:"certificate,omitempty"`
	File             string `yaml:"file,omitempty"`
	SHA256Thumbprint string `yaml:"sha256Thumbprint,omitempty"`
}

// References name CA certificates of the scope.
type References struct {
	Primary   string `yaml:"primary,omitempty"`
	Secondary string `yaml:"secondary,omitempty"`
}

// TPM holds base64 of TPM2B_PUBLIC. A storage root key that is left out stays.
type TPM struct {
	EndorsementKey string `yaml:"endorsementKey"`
	StorageRootKey string `yaml:"storageRootKey,omitempty"`
}

// Reprovision says what becomes of a device that registers again.
type Reprovision struct {
	UpdateHubAssignment *bool `yaml:"updateHubAssignment"`
	MigrateDeviceData   *bool `yaml:"migrateDeviceData"`
}

// CustomAllocation is the webhook of the custom policy.
type CustomAllocation struct {
	WebhookURL string `yaml:"webhookUrl"`
	APIVersion string `yaml:"apiVersion"`
}

// Capabilities of a device.
type Capabilities struct {
	IotEdge *bool `yaml:"iotEdge,omitempty"`
}

// Twin is what a device's twin is at first.
type Twin struct {
	Tags       JSON            `yaml:"tags,omitempty"`
	Properties *TwinProperties `yaml:"properties,omitempty"`
}

// TwinProperties holds desired properties.
type TwinProperties struct {
	Desired JSON `yaml:"desired,omitempty"`
}
