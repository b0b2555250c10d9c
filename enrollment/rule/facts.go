package rule

import (
	"encoding/json"
	"time"
)

// Device is what a rule sees as device.
type Device struct {
	ID          string      `cel:"id"`          // registration ID, in lower case
	Address     string      `cel:"address"`     // IP address that it calls from; empty: not known
	Transport   string      `cel:"transport"`   // https, mqtt, mqtt-ws, amqp or amqp-ws
	Attestation string      `cel:"attestation"` // symmetricKey, x509 or tpm
	Hub         string      `cel:"hub"`         // that it is assigned to; empty: none
	Certificate Certificate `cel:"certificate"`

	Payload json.RawMessage `cel:"-"` // the variable payload; nil: an empty object
}

// Certificate is what a rule sees of the certificate that a device presented; of other
// devices all is empty.
type Certificate struct {
	Subject            string    `cel:"subject"` // "CN=x, OU=y", most specific first
	Issuer             string    `cel:"issuer"`
	CommonName         string    `cel:"commonName"`
	Organization       []string  `cel:"organization"`
	OrganizationalUnit []string  `cel:"organizationalUnit"`
	Country            []string  `cel:"country"`
	DNSNames           []string  `cel:"dnsNames"`
	Serial             string    `cel:"serial"`     // upper-case hexadecimal
	Thumbprint         string    `cel:"thumbprint"` // SHA-256, upper-case hexadecimal
	NotAfter           time.Time `cel:"notAfter"`
}

// Entry is what a rule sees as enrollment: the one that admitted the device.
type Entry struct {
	ID    string `cel:"id"`    // of the individual enrollment or the group
	Group bool   `cel:"group"` // it is a group
	Lot   string `cel:"lot"`
}

// Hub is what a rule sees as hub: the one that is judged.
type Hub struct {
	Name     string `cel:"name"` // host name, lower case
	Location string `cel:"location"`
	Weight   int    `cel:"weight"`

	Residency []string `cel:"residency"` // tags
}
