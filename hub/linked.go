package hub

import (
	"crypto/x509"
	"encoding/base64"
	"net"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Bounds of a link.
const (
	MaxConnectionString = 4 << 10  // bytes; real ones are under 300
	MaxTrustedCAs       = 64 << 10 // bytes of PEM
	MaxAllocationWeight = 1000
	MaxIdentityRate     = 1_000_000     // operations a minute; far above an S3 unit's 5,000
	MaxDevices          = 1_000_000_000 // of Linked.MaxDevices; an Azure hub takes a million
	maxHostName         = 253           // RFC 1035, 2.3.4
)

// The adapters that a link may name.
const (
	KindAzureIoT = "azureiot"
	KindMemory   = "memory"
)

// Connection is a hub's connection string, taken apart.
type Connection struct {
	HostName            string
	SharedAccessKeyName string
	SharedAccessKey     dps.Secret // base64

	key []byte
}

// Key returns the policy's key, decoded.
func (c Connection) Key() []byte { return c.key }

// ParseConnectionString reads "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…",
// members in any order and case. Unknown members are refused: they hint at a
// connection string of another service. Errors: [dps.InvalidArgument], without the
// text.
func ParseConnectionString(s dps.Secret) (Connection, error) {
	var c Connection
	text := strings.TrimSpace(s.Reveal())
	if text == "" || len(text) > MaxConnectionString {
		return c, invalidConnection("length", "must have 1 to 4096 characters")
	}
	for part := range strings.SplitSeq(text, ";") {
		if part == "" {
			continue
		}
		if err := c.set(part); err != nil {
			return Connection{}, err
		}
	}
	return c, c.check()
}

func (c *Connection) set(part string) error {
	name, value, ok := strings.Cut(part, "=")
	if !ok {
		return invalidConnection("syntax", "must be of parts Name=value, separated by semicolons")
	}
	switch dps.FoldASCII(strings.TrimSpace(name)) {
	case "hostname":
		return setOnce(&c.HostName, "HostName", value)
	case "sharedaccesskeyname":
		return setOnce(&c.SharedAccessKeyName, "SharedAccessKeyName", value)
	case "sharedaccesskey":
		var key string
		if err := setOnce(&key, "SharedAccessKey", value); err != nil {
			return err
		}
		if !c.SharedAccessKey.IsZero() {
			return invalidConnection("twice", "has SharedAccessKey twice")
		}
		c.SharedAccessKey = dps.NewSecret(key)
		return nil
	case "deviceid", "moduleid":
		return invalidConnection("device", "is a device's; give that of a shared access policy of the hub")
	}
	return invalidConnection("unknown", "has a part that is none of HostName, SharedAccessKeyName, SharedAccessKey")
}

func setOnce(field *string, name, value string) error {
	value = strings.TrimSpace(value)
	if value == "" {
		return invalidConnection("empty", "has an empty "+name)
	}
	if *field != "" {
		return invalidConnection("twice", "has "+name+" twice")
	}
	*field = value
	return nil
}

func (c *Connection) check() error {
	for _, member := range []struct{ name, value string }{
		{"HostName", c.HostName}, {"SharedAccessKeyName", c.SharedAccessKeyName}, {"SharedAccessKey", c.SharedAccessKey.Reveal()},
	} {
		if member.value == "" {
			return invalidConnection("missing", "lacks "+member.name)
		}
	}
	if err := checkHost("connectionString", c.HostName); err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(c.SharedAccessKey.Reveal())
	if err != nil || len(key) == 0 {
		return invalidConnection("key", "has a SharedAccessKey that is not base64")
	}
	c.key = key
	return nil
}

func invalidConnection(rule, text string) error {
	return dps.Invalid("connectionString", rule, text)
}

// Validate checks every member of a link. Errors: [dps.InvalidArgument].
func (l *Linked) Validate() error {
	if err := checkHost("hostName", l.HostName); err != nil {
		return err
	}
	if err := l.checkAddress(); err != nil {
		return err
	}
	if l.AllocationWeight < 1 || l.AllocationWeight > MaxAllocationWeight {
		return dps.Invalid("allocationWeight", "range", "must be 1 to 1000")
	}
	if l.IdentityRate < 0 || l.IdentityRate > MaxIdentityRate {
		return dps.Invalid("identityRate", "range", "must be 0 to 1000000 operations a minute")
	}
	if l.MaxDevices < 0 || l.MaxDevices > MaxDevices {
		return dps.Invalid("maxDevices", "range", "must be 0 to 1000000000, 0 for no limit")
	}
	if err := l.checkRoots(); err != nil {
		return err
	}
	if err := l.checkResidency(); err != nil {
		return err
	}
	return l.checkKind()
}

func (l *Linked) checkAddress() error {
	if l.DialAddress == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(l.DialAddress)
	if err != nil || host == "" || port == "" {
		return dps.Invalid("dialAddress", "syntax", "must be host:port")
	}
	return nil
}

func (l *Linked) checkRoots() error {
	if l.TrustedCAs == "" {
		return nil
	}
	if len(l.TrustedCAs) > MaxTrustedCAs {
		return dps.Invalid("trustedCertificates", "size", "must be at most 65536 bytes")
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(l.TrustedCAs)) {
		return dps.Invalid("trustedCertificates", "certificate", "holds no certificate in PEM")
	}
	return nil
}

func (l *Linked) checkKind() error {
	switch l.Kind {
	case KindMemory:
		return nil
	case KindAzureIoT:
	default:
		return dps.Invalid("kind", "unknown", "must be azureiot")
	}
	if err := l.checkConnection(l.ConnectionString); err != nil || l.NextConnectionString.IsZero() {
		return err
	}
	return l.checkConnection(l.NextConnectionString)
}

func (l *Linked) checkConnection(text dps.Secret) error {
	c, err := ParseConnectionString(text)
	if err != nil {
		return err
	}
	if dps.FoldASCII(c.HostName) != dps.FoldASCII(l.HostName) {
		return dps.Invalid("connectionString", "hostName", "is for another hub than hostName")
	}
	return nil
}

// checkHost takes a host name or literal IPv4 address, without port: it is told to
// devices verbatim.
func checkHost(field, name string) error {
	if name == "" || len(name) > maxHostName {
		return dps.Invalid(field, "hostName", "must name a host of 1 to 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return dps.Invalid(field, "hostName", "must name a host: letters, digits and hyphens between dots, no port, no scheme")
		}
	}
	return nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}
