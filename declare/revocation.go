package declare

import (
	"slices"

	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// The functions of this file handle what is revoked, and how that is found out.

// denial brings an entry into the form in which it is stored.
func (c *completion) denial(d *Denial) {
	normal, err := scope.Denial{Kind: scope.DenialKind(d.Kind), Value: d.Value, Issuer: d.Issuer, Note: value(d.Note)}.Normalized()
	if err != nil {
		c.fault(&d.place, "%v", err)
		return
	}
	d.Value, d.Issuer = normal.Value, normal.Issuer
}

func (d *Denial) model() admin.Denial {
	return admin.Denial{Kind: d.Kind, Value: d.Value, Issuer: optional(d.Issuer), Note: d.Note}
}

// denialName tells entries of a deny list apart.
func denialName(m admin.Denial) string {
	if m.Value == "" {
		return ""
	}
	name := m.Kind + " " + m.Value
	if issuer := value(m.Issuer); issuer != "" {
		name += " of " + issuer
	}
	return name
}

func denialFacets(m admin.Denial) []facet {
	return []facet{{member: "note", value: plain(m.Note), stays: true, unsaid: ""}}
}

func (r *Revocation) model() *admin.Revocation {
	if r == nil {
		return nil
	}
	return &admin.Revocation{CRLURL: optional(r.CRLURL), OCSPURL: optional(r.OCSPURL), WhenUnknown: optional(r.WhenUnknown)}
}

func fromRevocation(m *admin.Revocation) *Revocation {
	if m == nil || m.CRLURL == nil && m.OCSPURL == nil && value(m.WhenUnknown) != "accept" {
		return nil
	}
	return &Revocation{CRLURL: value(m.CRLURL), OCSPURL: value(m.OCSPURL), WhenUnknown: value(m.WhenUnknown)}
}

// revocationOf leaves an uploaded list out, which no file has.
func revocationOf(m *admin.Revocation) any {
	if m == nil {
		return nil
	}
	return admin.Revocation{
		CRLURL: optional(value(m.CRLURL)), OCSPURL: optional(value(m.OCSPURL)),
		WhenUnknown: new(text(folded(or(m.WhenUnknown, "refuse"), "refuse", "accept"))),
	}
}

func (r *CertificateRules) model() *admin.CertificateRules {
	if r == nil {
		return nil
	}
	m := &admin.CertificateRules{MaxChainLength: r.MaxChainLength, MinRsaBits: r.MinRSABits, RequireClientAuth: r.RequireClientAuth}
	if r.Algorithms != nil {
		m.Algorithms = &r.Algorithms
	}
	return m
}

func fromRules(m *admin.CertificateRules) *CertificateRules {
	if m == nil || canonical(rulesOf(m)) == canonical(rulesOf(&admin.CertificateRules{})) {
		return nil
	}
	return &CertificateRules{
		MaxChainLength: m.MaxChainLength, MinRSABits: m.MinRsaBits, Algorithms: value(m.Algorithms), RequireClientAuth: m.RequireClientAuth,
	}
}

// rulesOf writes the defaults out.
func rulesOf(m *admin.CertificateRules) any {
	if m == nil {
		return nil
	}
	names := slices.Sorted(slices.Values(value(m.Algorithms)))
	if names == nil {
		names = []string{}
	}
	bits := value(m.MinRsaBits)
	return admin.CertificateRules{
		MaxChainLength: or(m.MaxChainLength, 0), MinRsaBits: new(max(bits, 2048)), RequireClientAuth: or(m.RequireClientAuth, false), Algorithms: &names,
	}
}
