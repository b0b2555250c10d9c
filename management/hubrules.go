package management

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

const (
	maxWeight       = 1000
	maxLocation     = 64       // bytes
	maxIdentityRate = 1000000  // a minute; more is unmetered
	maxTrustedCAs   = 64 << 10 // bytes of PEM
	kindMemory      = "memory" // the one kind that needs no credential
)

// applyHub sets what is given and holds the link to the rules. Errors:
// [dps.InvalidArgument].
func (s *Service) applyHub(change HubChange, l *hub.Linked) error {
	set(change.ConnectionString, &l.ConnectionString)
	set(change.Kind, &l.Kind)
	set(change.DialAddress, &l.DialAddress)
	set(change.TrustedCAs, &l.TrustedCAs)
	set(change.Location, &l.Location)
	set(change.AllocationWeight, &l.AllocationWeight)
	set(change.ApplyAllocation, &l.ApplyAllocation)
	set(change.IdentityRate, &l.IdentityRate)
	set(change.CertificateAuthority, &l.CertificateAuthority)
	set(change.RefuseUnclaimed, &l.RefuseUnclaimed)
	return s.checkHub(l)
}

func set[T any](value, to *T) {
	if value != nil {
		*to = *value
	}
}

func (s *Service) checkHub(l *hub.Linked) error {
	if !isHost(dps.FoldASCII(l.HostName)) {
		return dps.Invalid("hostName", "host", "must be a host name or an IP address, without scheme and port")
	}
	if !slices.Contains(s.d.HubKinds, l.Kind) {
		return dps.Invalid("kind", "enum", "must be one of "+strings.Join(s.d.HubKinds, ", "))
	}
	if l.AllocationWeight < 1 || l.AllocationWeight > maxWeight {
		return dps.Invalid("allocationWeight", "range", "must be 1 to 1000")
	}
	if l.IdentityRate < 0 || l.IdentityRate > maxIdentityRate {
		return dps.Invalid("identityRate", "range", "must be 0 (unmetered) to "+strconv.Itoa(maxIdentityRate)+" a minute")
	}
	if len(l.Location) > maxLocation {
		return dps.Invalid("location", "length", "must be at most 64 characters")
	}
	if err := checkDialAddress(l.DialAddress); err != nil {
		return err
	}
	if err := checkTrusted(l.TrustedCAs); err != nil {
		return err
	}
	if l.Kind == kindMemory {
		return nil
	}
	return checkConnectionString(l.ConnectionString.Reveal(), l.HostName)
}

func checkDialAddress(address string) error {
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	number, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || number == 0 || !isHost(dps.FoldASCII(host)) {
		return dps.Invalid("dialAddress", "address", "must be host:port")
	}
	return nil
}

func checkTrusted(text string) error {
	if len(text) > maxTrustedCAs {
		return dps.Invalid("trustedCertificates", "size", "is too large")
	}
	rest := []byte(text)
	for len(strings.TrimSpace(string(rest))) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return dps.Invalid("trustedCertificates", "pem", "must hold PEM CERTIFICATE blocks only")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return dps.Invalid("trustedCertificates", "certificate", "holds a block that is not an X.509 certificate")
		}
	}
	return nil
}

// checkConnectionString holds the string to the link's host name, so that a mistaken
// paste is told at once and not by the first device.
func checkConnectionString(text, hostName string) error {
	if text == "" {
		return dps.Invalid("connectionString", "required", "must be HostName=…;SharedAccessKeyName=…;SharedAccessKey=… of a policy with registry rights")
	}
	parts, err := ParseConnectionString("connectionString", text)
	if err != nil {
		return err
	}
	if dps.FoldASCII(parts.HostName) != dps.FoldASCII(hostName) {
		return dps.Invalid("connectionString", "sameHost", "is of another hub: its HostName differs from "+strconv.Quote(hostName))
	}
	return nil
}

// ConnectionString is a service's or a hub's address and credential.
type ConnectionString struct {
	HostName, KeyName string
	Key               dps.Secret // base64
}

// ParseConnectionString reads "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…" in
// any order. Errors: [dps.InvalidArgument], naming field.
func ParseConnectionString(field, text string) (ConnectionString, error) {
	var out ConnectionString
	for part := range strings.SplitSeq(strings.TrimSpace(text), ";") {
		name, value, _ := strings.Cut(part, "=")
		switch dps.FoldASCII(strings.TrimSpace(name)) {
		case "hostname":
			out.HostName = value
		case "sharedaccesskeyname":
			out.KeyName = value
		case "sharedaccesskey":
			out.Key = dps.NewSecret(value)
		}
	}
	if out.HostName == "" || out.KeyName == "" || out.Key.IsZero() {
		return out, dps.Invalid(field, "parts", "lacks HostName, SharedAccessKeyName or SharedAccessKey")
	}
	if raw, err := base64.StdEncoding.DecodeString(out.Key.Reveal()); err != nil || len(raw) == 0 {
		return out, dps.Invalid(field, "base64", "has a SharedAccessKey that is not base64")
	}
	return out, nil
}

// Reveal writes the original's form, key included.
func (c ConnectionString) Reveal() string {
	return "HostName=" + c.HostName + ";SharedAccessKeyName=" + c.KeyName + ";SharedAccessKey=" + c.Key.Reveal()
}
