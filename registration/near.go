package registration

import (
	"context"
	"fmt"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Near is an entry that has to do with a refused device, and how.
type Near struct {
	Ref enrollment.Ref
	Why string
}

// maxNear bounds the entries that an explanation names.
const maxNear = 5

// near returns the entries that were considered for a device that was refused.
func (r *Registrar) near(ctx context.Context, req *Request) ([]Near, error) {
	cfg, err := r.configs.get(ctx, req.Scope)
	if err != nil {
		return nil, err
	}
	s, err := r.store.Admit(ctx, admitQuery(req, cfg))
	if err != nil {
		return nil, err
	}
	var out []Near
	if i := s.Individual; i != nil {
		out = append(out, Near{enrollment.Ref{Individual: i.ID}, fmt.Sprintf(
			"this ID's own enrollment, which decides alone; it is %s and attests by %s", status(i.Enabled), i.Mechanism.Kind())})
	}
	for i := range s.Groups[:min(len(s.Groups), maxNear)] {
		out = append(out, nearGroup(&s.Groups[i]))
	}
	return out, nil
}

func status(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

func nearGroup(g *enrollment.Group) Near {
	why := "its keys were tried"
	switch m := g.Mechanism.(type) {
	case attestation.X509CA:
		why = "a CA certificate of it has the name of an issuer in the chain"
		if m.PrimaryRef+m.SecondaryRef != "" {
			why = "a CA certificate that it refers to has the name of an issuer in the chain"
		}
	case attestation.GroupKey:
		if g.IDPrefix != "" {
			why = fmt.Sprintf("the ID begins with its prefix %q, and its keys were tried", g.IDPrefix)
		}
	case attestation.GroupTPM:
		why = "a CA certificate that it refers to has the name of an issuer in the chain"
	case attestation.X509Leaf, attestation.SymmetricKey, attestation.TPM: // individuals only
	}
	return Near{enrollment.Ref{Group: g.ID}, why + "; it is " + status(g.Enabled)}
}
