// Package peer says where a connection comes from. It is the one place that reads it, so
// that rules on addresses can't differ between listeners.
package peer

import (
	"crypto/tls"
	"net/netip"
)

// Origin is where a request comes from.
type Origin struct {
	Addr netip.Addr // of the peer, IPv4 as such and without zone; invalid when not known
	TLS  uint16     // version of the connection, as crypto/tls numbers it; 0: none
}

// Of returns the origin of a connection by the text of its remote address.
func Of(remoteAddr string, state *tls.ConnectionState) Origin {
	var o Origin
	if at, err := netip.ParseAddrPort(remoteAddr); err == nil {
		o.Addr = at.Addr().Unmap().WithZone("")
	}
	if state != nil {
		o.TLS = state.Version
	}
	return o
}
