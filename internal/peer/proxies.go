package peer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of load balancers whose word on their clients is taken.
type Proxies []netip.Prefix

// ParseProxies reads networks (10.0.0.0/8) and single addresses.
func ParseProxies(texts []string) (Proxies, error) {
	out := make(Proxies, 0, len(texts))
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if single, notOne := netip.ParseAddr(text); notOne == nil {
			network, err = netip.PrefixFrom(single, single.BitLen()), nil
		}
		if err != nil || strings.Contains(text, "%") || network.Addr().Is4In6() {
			return nil, fmt.Errorf("want an address or a network such as 10.0.0.0/8 or fd00::/8, not %q", text)
		}
		out = append(out, network.Masked())
	}
	return out, nil
}

// Trusts says whether an address is that of such a proxy.
func (p Proxies) Trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(a) })
}

// Client returns the text of the address behind a connection from remoteAddr, of which the
// X-Forwarded-For lines tell: the last entry that no trusted proxy stands for. Each proxy
// adds who spoke to it at the end, so what stands before that entry is the client's own
// word, and counts for nothing.
func (p Proxies) Client(remoteAddr string, forwardedFor []string) string {
	client := remoteAddr
	for _, line := range slices.Backward(forwardedFor) {
		for rest, more := line, true; more; {
			if !p.Trusts(Of(client, nil).Addr) {
				return client
			}
			var entry string
			rest, entry, more = cutLast(rest)
			at, ok := parseEntry(entry)
			if !ok { // a proxy that will not say: it answers for its client itself
				return client
			}
			client = at.String()
		}
	}
	return client
}

// cutLast parts the last entry of a list from those before it.
func cutLast(list string) (before, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// parseEntry reads an address, which some proxies give with a port; without, it is 0.
func parseEntry(entry string) (netip.AddrPort, bool) {
	entry = strings.TrimSpace(entry)
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return at, true
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")
	a, err := netip.ParseAddr(bare)
	return netip.AddrPortFrom(a, 0), err == nil
}
