package arm

import "encoding/json"

// Service is the original's resource, as far as dps has what it says.
type Service struct {
	Name       string     `json:"name,omitempty"`
	Type       string     `json:"type,omitempty"`
	Properties Properties `json:"properties"`
	// Certificates are a resource of their own there; here they stand beside.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Properties of a provisioning service.
type Properties struct {
	IDScope                    string    `json:"idScope,omitempty"`
	ServiceOperationsHostName  string    `json:"serviceOperationsHostName,omitempty"`
	DeviceProvisioningHostName string    `json:"deviceProvisioningHostName,omitempty"`
	AllocationPolicy           string    `json:"allocationPolicy,omitempty"`
	IotHubs                    []Hub     `json:"iotHubs"`
	AuthorizationPolicies      []Policy  `json:"authorizationPolicies"`
	IPFilterRules              []IPRule  `json:"ipFilterRules"`
	DisableLocalAuth           *bool     `json:"disableLocalAuth,omitempty"`
	MinTLSVersion              string    `json:"minTlsVersion,omitempty"`
	PublicNetworkAccess        string    `json:"publicNetworkAccess,omitempty"`
	PrivateEndpointConnections []any     `json:"privateEndpointConnections,omitempty"`
	EnableDataResidency        *bool     `json:"enableDataResidency,omitempty"`
	PortalOperationsHostName   string    `json:"portalOperationsHostName,omitempty"`
	DeviceRegistryNamespace    *struct{} `json:"deviceRegistryNamespace,omitempty"`
}

// Hub is a linked hub. Its key is left out or masked.
type Hub struct {
	Name                  string `json:"name,omitempty"`
	HostName              string `json:"hostName,omitempty"`
	ConnectionString      string `json:"connectionString,omitempty"`
	Location              string `json:"location,omitempty"`
	AllocationWeight      *int   `json:"allocationWeight,omitempty"`
	ApplyAllocationPolicy *bool  `json:"applyAllocationPolicy,omitempty"`
	AuthenticationType    string `json:"authenticationType,omitempty"`
}

// Policy is an access policy; the list of keys has the keys.
type Policy struct {
	KeyName      string `json:"keyName"`
	PrimaryKey   string `json:"primaryKey,omitempty"`
	SecondaryKey string `json:"secondaryKey,omitempty"`
	Rights       string `json:"rights"`
}

// IPRule is a rule of the IP filter.
type IPRule struct {
	FilterName string `json:"filterName"`
	Action     string `json:"action"`
	IPMask     string `json:"ipMask"`
	Target     string `json:"target,omitempty"`
}

// Certificate is a CA certificate.
type Certificate struct {
	Name       string                `json:"name"`
	Properties CertificateProperties `json:"properties"`
}

// CertificateProperties of a CA certificate.
type CertificateProperties struct {
	Certificate string `json:"certificate,omitempty"` // base64 of a file of PEM or DER
	IsVerified  *bool  `json:"isVerified,omitempty"`
	Subject     string `json:"subject,omitempty"`
	Thumbprint  string `json:"thumbprint,omitempty"`
}

// probe is any of these, to tell them apart.
type probe struct {
	KeyName    *string         `json:"keyName"`
	Value      json.RawMessage `json:"value"`
	Properties *struct {
		IDScope           *string `json:"idScope"`
		ServiceOperations *string `json:"serviceOperationsHostName"`
		IotHubs           *[]any  `json:"iotHubs"`
		Certificate       *string `json:"certificate"`
		Thumbprint        *string `json:"thumbprint"`
	} `json:"properties"`
}
