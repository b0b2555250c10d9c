package scope

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Bounds of an IP filter, the original's.
const (
	MaxIPRules      = 100
	maxIPRuleLength = 128 // bytes of a rule's name
)

// Endpoint is what a caller wants of a scope.
type Endpoint string

// The endpoints that a rule may be about; AllEndpoints is about both.
const (
	AllEndpoints    Endpoint = "all"
	ServiceEndpoint Endpoint = "serviceApi"
	DeviceEndpoint  Endpoint = "deviceApi"
)

// IPAction is what a rule does with an address that it matches.
type IPAction string

// The actions.
const (
	Accept IPAction = "Accept"
	Reject IPAction = "Reject"
)

// IPRule says what becomes of the addresses of a network.
type IPRule struct {
	Name   string
	Action IPAction
	Mask   netip.Prefix
	Target Endpoint
}

// IPFilter are rules in order: the first that matches decides; none: accepted.
type IPFilter []IPRule

// Decide returns what becomes of an address, and the place of the rule that decides, -1
// when none does. An address that is not known is rejected where there are rules.
func (f IPFilter) Decide(addr netip.Addr, target Endpoint) (IPAction, int) {
	addr = addr.Unmap().WithZone("")
	for i, rule := range f {
		if (rule.Target == AllEndpoints || rule.Target == target) && rule.Mask.Contains(addr) {
			return rule.Action, i
		}
	}
	if len(f) > 0 && !addr.IsValid() {
		return Reject, -1
	}
	return Accept, -1
}

// ParseIPMask reads a single address or a CIDR block; what stands behind the mask is
// dropped, and IPv4 written as IPv6 is IPv4.
func ParseIPMask(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, errors.New("must be an IP address or a CIDR block")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("must be an IP address or a CIDR block")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, errors.New("must not mix IPv4 and IPv6")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// Validate holds the rules to their bounds. Errors: [dps.InvalidArgument].
func (f IPFilter) Validate() error {
	if len(f) > MaxIPRules {
		return dps.Invalid("value", "length", fmt.Sprintf("may hold at most %d rules", MaxIPRules))
	}
	seen := map[string]bool{}
	for i, rule := range f {
		field := "value[" + strconv.Itoa(i) + "]."
		folded := dps.FoldASCII(rule.Name)
		switch {
		case rule.Name == "" || len(rule.Name) > maxIPRuleLength:
			return dps.Invalid(field+"filterName", "length", "must have 1 to 128 characters")
		case seen[folded]:
			return dps.Invalid(field+"filterName", "unique", "stands twice")
		case rule.Action != Accept && rule.Action != Reject:
			return dps.Invalid(field+"action", "enum", "must be Accept or Reject")
		case !rule.Mask.IsValid():
			return dps.Invalid(field+"ipMask", "syntax", "must be an IP address or a CIDR block")
		case !slices.Contains([]Endpoint{AllEndpoints, ServiceEndpoint, DeviceEndpoint}, rule.Target):
			return dps.Invalid(field+"target", "enum", "must be all, serviceApi or deviceApi")
		}
		seen[folded] = true
	}
	return nil
}
