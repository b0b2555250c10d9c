package registration

import (
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment/rule"
)

// ruling is what an entry's rule came to.
type ruling struct {
	Out   []string `json:"out,omitempty"`   // hubs that it left out
	Error string   `json:"error,omitempty"` // why it came to nothing about a hub
}

// caseOf returns the case of an admitted device under its entry's rule; nil: it has none.
func (r *Registrar) caseOf(req *Request, a *admission) (*rule.Case, error) {
	if a.match.Settings.Rule == "" {
		return nil, nil
	}
	compiled, err := r.rules.Compile(a.match.Settings.Rule)
	if err != nil {
		return nil, dps.Errorf(dps.NoHub, "no linked hub can take this device: the rule of its enrollment: %v", err)
	}
	ref := a.match.Ref
	entry := &rule.Entry{ID: ref.Group, Group: ref.Group != "", Lot: a.match.Settings.Lot}
	if !entry.Group {
		entry.ID = string(ref.Individual)
	}
	return compiled.Of(ruleDevice(req, a), entry), nil
}

func ruleDevice(req *Request, a *admission) *rule.Device {
	d := &rule.Device{
		ID: dps.FoldASCII(string(req.ID)), Transport: req.Transport,
		Attestation: string(a.proof.Kind), Certificate: ruleCertificate(req, a), Payload: req.Payload,
	}
	if req.Origin.Addr.IsValid() {
		d.Address = req.Origin.Addr.String()
	}
	if a.current != nil {
		d.Hub = dps.FoldASCII(a.current.Assignment.Hub)
	}
	return d
}

func ruleCertificate(req *Request, a *admission) rule.Certificate {
	leaf := a.proof.Leaf
	if leaf == nil {
		return rule.Certificate{}
	}
	c := rule.Certificate{
		Subject: leaf.Subject, Issuer: leaf.Issuer, CommonName: leaf.CommonName,
		Serial: leaf.Serial, Thumbprint: leaf.SHA256, NotAfter: leaf.NotAfter,
	}
	if e, ok := req.Evidence.(attestation.X509Evidence); ok && len(e.Chain) > 0 {
		name := e.Chain[0].Subject
		c.Organization, c.OrganizationalUnit, c.Country = name.Organization, name.OrganizationalUnit, name.Country
		c.DNSNames = e.Chain[0].DNSNames
	}
	return c
}

// narrow leaves the hubs for which the rule comes to true, and notes the others. Where a
// device is taken to a further hub without having asked again, what was noted counts.
func narrow(candidates []allocation.Candidate, about *rule.Case, cfg *config, why *decision) ([]allocation.Candidate, error) {
	if about == nil {
		if why.Rule != nil {
			candidates = without(candidates, why.Rule.Out)
		}
		return candidates, nil
	}
	why.Rule = &ruling{}
	admitted := make([]allocation.Candidate, 0, len(candidates))
	for _, c := range candidates {
		yes, err := about.Admits(ruleHub(cfg, c.Hub))
		if yes {
			admitted = append(admitted, c)
			continue
		}
		why.Rule.Out = append(why.Rule.Out, c.Hub)
		if err != nil && why.Rule.Error == "" {
			why.Rule.Error = clipped(err.Error())
		}
	}
	if len(admitted) == 0 {
		return nil, why.Rule.noHub()
	}
	return admitted, nil
}

func (r *ruling) noHub() error {
	text := "no linked hub can take this device: the rule of its enrollment leaves none"
	if r.Error != "" {
		text += fmt.Sprintf(" (%s)", r.Error)
	}
	return dps.Errorf(dps.NoHub, "%s", text)
}

func ruleHub(cfg *config, host string) *rule.Hub {
	link, _ := cfg.linked(host)
	return &rule.Hub{Name: dps.FoldASCII(link.HostName), Location: link.Location, Weight: max(1, link.AllocationWeight), Residency: link.Residency}
}
