package management

import (
	"context"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

const (
	// explainedRefusals is how many refusals of a device an explanation shows.
	explainedRefusals = 5
	// cutForSimilar is how many characters at the end of an ID may differ for another to
	// count as similar, and leastPrefix how many must be left before them.
	cutForSimilar, leastPrefix = 2, 3
	maxSimilar                 = 3
)

// lookalikes finds individual enrollments whose IDs could be mistaken for a device's. It
// does a bounded number of reads by key and one short search.
func (s *Service) lookalikes(ctx context.Context, id dps.IDScope, req registration.Request) ([]registration.Near, error) {
	var out []registration.Near
	for _, like := range spelledAlike(req) {
		e, err := s.d.Enrollments.Individual(ctx, id, like.ID)
		switch {
		case err == nil:
			out = append(out, registration.Near{Ref: enrollment.Ref{Individual: e.ID}, Why: like.why})
		case !dps.Is(err, dps.EnrollmentNotFound):
			return nil, err
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return s.similar(ctx, id, req.ID)
}

// alike is an ID that a device may have meant.
type alike struct {
	ID  dps.RegistrationID
	why string
}

// spelledAlike returns the IDs that a device may have meant: those of its certificate, and
// its own with other separators or with what looks like its letters.
func spelledAlike(req registration.Request) []alike {
	var out []alike
	seen := map[string]bool{req.ID.Fold(): true}
	add := func(text, why string) {
		id, err := dps.ParseRegistrationID(strings.TrimSpace(text))
		if err == nil && !seen[id.Fold()] {
			seen[id.Fold()] = true
			out = append(out, alike{id, why})
		}
	}
	if e, ok := req.Evidence.(attestation.X509Evidence); ok {
		add(attestation.CommonName(e.Chain[0]), "its ID is the certificate's common name")
		for _, name := range e.Chain[0].DNSNames[:min(len(e.Chain[0].DNSNames), 2)] {
			add(name, "its ID is a DNS name of the certificate")
		}
	}
	folded := req.ID.Fold()
	for _, separator := range []string{"-", "_", ".", ":", ""} {
		add(strings.NewReplacer("-", separator, "_", separator, ".", separator, ":", separator).Replace(folded), "its ID differs in separators only")
	}
	add(strings.NewReplacer("o", "0", "l", "1", "i", "1").Replace(folded), "its ID has digits where this one has letters like them")
	add(strings.NewReplacer("0", "o", "1", "l").Replace(folded), "its ID has letters where this one has digits like them")
	return out
}

// similar finds enrollments whose IDs differ in their last characters only.
func (s *Service) similar(ctx context.Context, id dps.IDScope, reg dps.RegistrationID) ([]registration.Near, error) {
	if len(reg) < leastPrefix+cutForSimilar {
		return nil, nil
	}
	found, err := s.d.Enrollments.SearchIndividuals(ctx, id, enrollment.Search{
		Prefix: string(reg[:len(reg)-cutForSimilar]), Order: enrollment.Order{Limit: maxSimilar + 1},
	})
	if err != nil {
		return nil, err
	}
	var out []registration.Near
	for i := range found.Items {
		if other := found.Items[i].ID; other.Fold() != reg.Fold() && len(out) < maxSimilar {
			out = append(out, registration.Near{Ref: enrollment.Ref{Individual: other}, Why: "its ID begins as this one does"})
		}
	}
	return out, nil
}
