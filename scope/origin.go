package scope

import (
	"errors"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/peer"
)

// The versions that a scope may demand at least; the listeners take nothing below 1.2.
const (
	TLS12 = "1.2"
	TLS13 = "1.3"
)

const tls13 = 0x0304 // RFC 8446, 4.1.2

// Refuses returns why the scope takes nothing from an origin, for the log only; nil
// when it does.
func (s Scope) Refuses(o peer.Origin, target Endpoint) error {
	if s.MinTLSVersion == TLS13 && o.TLS < tls13 {
		return fmt.Errorf("the scope demands TLS %s", s.MinTLSVersion)
	}
	action, at := s.IPFilter.Decide(o.Addr, target)
	switch {
	case action == Accept:
		return nil
	case at < 0:
		return errors.New("the peer's address is not known and the scope filters addresses")
	}
	return fmt.Errorf("IP filter rule %q rejects %s", s.IPFilter[at].Name, o.Addr)
}

// checkTLS errors: [dps.InvalidArgument].
func checkTLS(version string) error {
	if version != "" && version != TLS12 && version != TLS13 {
		return dps.Invalid("minTlsVersion", "enum", "must be 1.2 or 1.3")
	}
	return nil
}
