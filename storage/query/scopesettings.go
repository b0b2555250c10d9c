package query

import (
	"net/netip"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// scopeSettings is the stored form of what a scope says about who may connect and how
// much it may hold. Without it everything is at its default.
type scopeSettings struct {
	DisableLocalAuth bool                         `json:"disableLocalAuth,omitempty"`
	FilterQueries    bool                         `json:"filterQueries,omitempty"`
	MinTLSVersion    string                       `json:"minTls,omitempty"`
	IPFilter         []ipRuleRow                  `json:"ipFilter,omitempty"`
	Profile          scope.Profile                `json:"profile,omitempty"`
	Limits           map[string]int               `json:"limits,omitempty"`
	WhenRevoked      scope.WhenRevoked            `json:"whenRevoked,omitempty"`
	Certificates     *certificateRulesRow         `json:"certificates,omitempty"`
	Custom           *enrollment.CustomAllocation `json:"custom,omitempty"`
	Events           *eventsRow                   `json:"events,omitempty"`
}

type eventsRow struct {
	Keep  bool `json:"keep,omitempty"`
	Hours int  `json:"hours,omitempty"`
	Max   int  `json:"max,omitempty"`
}

type certificateRulesRow struct {
	MaxChainLength    int                  `json:"maxChain,omitempty"`
	MinRSABits        int                  `json:"minRsa,omitempty"`
	Algorithms        []scope.KeyAlgorithm `json:"algorithms,omitempty"`
	RequireClientAuth bool                 `json:"clientAuth,omitempty"`
}

type ipRuleRow struct {
	Name   string         `json:"name"`
	Action scope.IPAction `json:"action"`
	Mask   netip.Prefix   `json:"mask"`
	Target scope.Endpoint `json:"target"`
}

// limitSlots names the limits in the store.
func limitSlots(l *scope.Limits) map[string]**int {
	return map[string]**int{
		"hubs": &l.Hubs, "authorities": &l.Authorities, "x509Groups": &l.X509Groups, "keyGroups": &l.SymmetricKey,
	}
}

func encodeScopeSettings(s *scope.Scope) string {
	row := scopeSettings{
		DisableLocalAuth: s.DisableLocalAuth, FilterQueries: s.FilterQueries, MinTLSVersion: s.MinTLSVersion,
		Profile: s.Limits.Profile, Limits: map[string]int{}, WhenRevoked: s.WhenRevoked, Custom: s.Custom,
	}
	if r := s.CertificateRules; r.MaxChainLength != 0 || r.MinRSABits != 0 || len(r.Algorithms) > 0 || r.RequireClientAuth {
		row.Certificates = new(certificateRulesRow(r))
	}
	if s.Events != (scope.Events{}) {
		row.Events = new(eventsRow(s.Events))
	}
	for _, r := range s.IPFilter {
		row.IPFilter = append(row.IPFilter, ipRuleRow(r))
	}
	for name, slot := range limitSlots(&s.Limits) {
		if *slot != nil {
			row.Limits[name] = **slot
		}
	}
	return encode(row)
}

func decodeScopeSettings(text string, s *scope.Scope) error {
	var row scopeSettings
	if text != "" {
		if err := decode("scope settings", text, &row); err != nil {
			return err
		}
	}
	s.DisableLocalAuth, s.FilterQueries, s.MinTLSVersion, s.Limits.Profile = row.DisableLocalAuth, row.FilterQueries, row.MinTLSVersion, row.Profile
	s.WhenRevoked, s.Custom = row.WhenRevoked, row.Custom
	if row.Certificates != nil {
		s.CertificateRules = scope.CertificateRules(*row.Certificates)
	}
	if row.Events != nil {
		s.Events = scope.Events(*row.Events)
	}
	for _, r := range row.IPFilter {
		s.IPFilter = append(s.IPFilter, scope.IPRule(r))
	}
	for name, slot := range limitSlots(&s.Limits) {
		if value, ok := row.Limits[name]; ok {
			*slot = &value
		}
	}
	return nil
}
