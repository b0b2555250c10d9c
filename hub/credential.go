package hub

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/zerotouch-dps/dps"
)

// CredentialDigest returns the hex SHA-256 over a credential's type and secrets, by
// which two credentials are compared when only one may be kept. Thumbprints count
// whatever their case; secrets that the type does not use don't count.
func CredentialDigest(a Auth) string {
	primary, secondary := a.Primary.Reveal(), a.Secondary.Reveal()
	switch a.Type {
	case AuthThumbprint:
		primary, secondary = dps.FoldASCII(primary), dps.FoldASCII(secondary)
	case AuthCertificate, AuthNone:
		primary, secondary = "", ""
	case AuthSAS:
	}
	var text []byte
	for _, part := range []string{string(a.Type), primary, secondary} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part))) //nolint:gosec // keys and thumbprints are short
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// SameCredential reports whether two credentials let the same devices in.
func SameCredential(a, b Auth) bool { return CredentialDigest(a) == CredentialDigest(b) }
