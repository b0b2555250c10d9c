package enrollment

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

// rememberedGroups bounds the remembered (device, key group) pairs, about 200 bytes
// each.
const rememberedGroups = 1 << 17

// Match is the one entry that decides about a device which proved itself to it.
type Match struct {
	Ref      Ref
	Settings *Settings
	// Mechanism is the entry's.
	Mechanism attestation.Mechanism
	// Individual or Group is set, as the entry is one.
	Individual *Individual
	Group      *Group
	// Disabled tells that the device must be refused although its proof is good: the
	// entry is disabled, or a disabled entry pins the device's certificate.
	Disabled bool
	// Revoked says why the device must be refused although its proof was good once: what it
	// shows was revoked or is denied. Empty: it was not.
	Revoked string
	// KeySpelling is the text from which a key group's device keys derive.
	KeySpelling string
}

// Resolver matches devices to entries. It is safe for concurrent use.
type Resolver struct {
	verifier   *attestation.Verifier
	remembered *lru.Cache[string, string] // folded scope and ID to group ID
}

// NewResolver returns a resolver that judges evidence with v.
func NewResolver(v *attestation.Verifier) *Resolver {
	remembered, err := lru.New[string, string](rememberedGroups)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Resolver{verifier: v, remembered: remembered}
}

// Verifier returns what judges evidence, and makes the keys of TPM devices.
func (r *Resolver) Verifier() *attestation.Verifier { return r.verifier }

// Question is one device's claim, what it shows, and what the store and the scope's
// configuration know.
type Question struct {
	Candidates
	Subject            attestation.Subject
	Evidence           attestation.Evidence
	Trust              *attestation.Trust
	TrustInlineSigning bool
	// Earlier is what a TPM device proved with when its operation began; nil: nothing.
	// EarlierEntry is who admitted it then.
	Earlier      *attestation.TPMProof
	EarlierEntry Ref
	search       *search
}

// Resolve finds the entry that decides and holds the device to it. An individual
// enrollment always decides alone, even to refuse; failing that the group whose
// certificate stands nearest to the leaf decides, or the key group whose derived key
// signed the token (DPS concepts, "X.509 attestation" and "Symmetric key
// attestation"). Without a proof the error is [dps.Unauthorized], whatever the cause;
// Disabled is told only after a good proof. What a refusal costs depends on what is shown
// and on the scope, not on whether or how the device is enrolled. [dps.Unavailable] tells
// that a CA can't be asked what it revoked.
func (r *Resolver) Resolve(ctx context.Context, q Question) (Match, attestation.Proof, error) {
	if e, ok := q.Evidence.(attestation.TPMEvidence); ok {
		return r.tpm(ctx, e, q)
	}
	q.search = &search{}
	if q.Individual == nil {
		m, p, err := r.group(ctx, q)
		m.Disabled = m.Disabled || q.Blocked
		if err != nil {
			r.decoy(q)
		}
		return m, p, err
	}
	m, p, err := r.individual(ctx, q)
	if err == nil {
		return m, p, nil
	}
	r.decoy(q)
	// The id-only block: a disabled entry without the device's credential still blocks
	// a device that could have come in through a group, and tells it so. Of an enabled
	// entry this changes nothing but what the refusal costs.
	if g, proof, gerr := r.group(ctx, q); gerr == nil && !q.Individual.Enabled {
		m := individualMatch(q)
		m.Revoked = g.Revoked
		return m, proof, nil
	}
	return Match{}, attestation.Proof{}, err
}

func individualMatch(q Question) Match {
	return Match{
		Ref: Ref{Individual: q.Individual.ID}, Settings: &q.Individual.Settings, Individual: q.Individual,
		Mechanism: q.Individual.Mechanism, Disabled: !q.Individual.Enabled || q.Blocked,
	}
}

func (r *Resolver) individual(ctx context.Context, q Question) (Match, attestation.Proof, error) {
	proof, revoked, err := r.individualProof(ctx, q)
	if err != nil {
		return Match{}, attestation.Proof{}, err
	}
	m := individualMatch(q)
	m.Revoked = revoked
	return m, proof, nil
}

func (r *Resolver) individualProof(ctx context.Context, q Question) (proof attestation.Proof, revoked string, err error) {
	switch m := q.Individual.Mechanism.(type) {
	case attestation.X509Leaf:
		if e, ok := q.Evidence.(attestation.X509Evidence); ok {
			return r.verifier.VerifyLeaf(ctx, m, e, q.Trust, q.Subject)
		}
	case attestation.X509CA:
		if e, ok := q.Evidence.(attestation.X509Evidence); ok {
			return r.individualChain(ctx, m, e, q)
		}
	case attestation.SymmetricKey:
		if e, ok := q.Evidence.(attestation.TokenEvidence); ok {
			proof, err = r.verifier.VerifyKey(m, e, q.Subject)
			return proof, "", err
		}
	case attestation.TPM: // a poll, which bears no keys
		if e, ok := q.Evidence.(attestation.TokenEvidence); ok {
			proof, err = r.verifier.VerifyTPMToken(m, q.Earlier, e, q.Subject)
			return proof, q.Trust.DeniesTPM(m.EndorsementKey), err
		}
	case attestation.GroupKey, attestation.GroupTPM:
	}
	return attestation.Proof{}, "", attestation.Refuse(fmt.Errorf(
		"the individual enrollment attests by %s, the device shows %s", q.Individual.Mechanism.Kind(), q.Evidence.Kind()))
}

// tpm holds a device to its TPM first, and then looks whether that one is enrolled: an
// unknown device and one with another TPM differ in nothing.
func (r *Resolver) tpm(ctx context.Context, e attestation.TPMEvidence, q Question) (Match, attestation.Proof, error) {
	proof, err := r.verifier.VerifyTPM(e, q.Earlier, q.Subject)
	if err != nil {
		return Match{}, attestation.Proof{}, err
	}
	if q.Individual == nil {
		return r.groupByEndorsement(ctx, e, q, proof)
	}
	m, ok := q.Individual.Mechanism.(attestation.TPM)
	if !ok || !bytes.Equal(m.EndorsementKey, e.EndorsementKey) {
		_, _, _ = r.groupByEndorsement(ctx, e, q, proof) // costs what it would without the enrollment
		return Match{}, attestation.Proof{}, attestation.Refuse(errors.New("the individual enrollment is of another TPM, or of none"))
	}
	match := individualMatch(q)
	match.Revoked = q.Trust.DeniesTPM(e.EndorsementKey)
	return match, proof, nil
}

func (r *Resolver) individualChain(ctx context.Context, m attestation.X509CA, e attestation.X509Evidence, q Question) (proof attestation.Proof, revoked string, err error) {
	chains, err := r.chains(ctx, e, q)
	if err != nil {
		return attestation.Proof{}, "", err
	}
	if chains.Expired != nil {
		return attestation.Proof{}, "", attestation.Refuse(chains.Expired)
	}
	for _, path := range chains.Paths {
		for _, cert := range path {
			if ok, secondary := m.Binds(cert, q.Trust); ok {
				return attestation.ChainProof(e.Chain[0], cert, secondary), chains.Revoked, nil
			}
		}
	}
	return attestation.Proof{}, "", attestation.Refuse(errors.New("the chain does not pass through the enrollment's signing certificate"))
}

func (r *Resolver) group(ctx context.Context, q Question) (Match, attestation.Proof, error) {
	switch e := q.Evidence.(type) {
	case attestation.X509Evidence:
		return r.groupByChain(ctx, e, q)
	case attestation.TokenEvidence:
		if g := q.earlierTPMGroup(); g != nil {
			m, p, err := r.groupAgain(e, q, g)
			if err != nil {
				_, _, _ = r.groupByKey(e, q) // costs what it would if no TPM had been here
			}
			return m, p, err
		}
		return r.groupByKey(e, q)
	case attestation.TPMEvidence: // see groupByEndorsement
	}
	return Match{}, attestation.Proof{}, attestation.Refuse(errors.New("no enrollment"))
}

// groupByChain walks each verified path from the certificate right above the leaf;
// the nearest bound group ends the search, enabled or not.
func (r *Resolver) groupByChain(ctx context.Context, e attestation.X509Evidence, q Question) (Match, attestation.Proof, error) {
	chains, err := r.chains(ctx, e, q)
	if err != nil {
		return Match{}, attestation.Proof{}, err
	}
	if g, signer, secondary := nearest[attestation.X509CA](q, chains.Paths); g != nil {
		return groupChain(g, chains, attestation.ChainProof(e.Chain[0], signer, secondary))
	}
	return Match{}, attestation.Proof{}, attestation.Refuse(errors.New("the chain is good, but no enrollment group is bound to any certificate of it"))
}

// groupChain holds a chain to what its group says of expired certificates.
func groupChain(g *Group, c attestation.Chains, p attestation.Proof) (Match, attestation.Proof, error) {
	if c.Expired != nil && !g.AcceptExpired {
		return Match{}, attestation.Proof{}, attestation.Refuse(c.Expired)
	}
	m := groupMatch(g, "")
	m.Revoked = c.Revoked
	return m, p, nil
}

// binder is a mechanism that is bound to CA certificates.
type binder interface {
	attestation.Mechanism
	Binds(cert *x509.Certificate, t *attestation.Trust) (ok, secondary bool)
}

// nearest returns the group of a mechanism that is bound to the certificate nearest to the
// device's, on any path, and that certificate; nil: none is bound to any.
func nearest[M binder](q Question, paths []attestation.Path) (g *Group, signer *x509.Certificate, secondary bool) {
	for depth := range longest(paths) {
		for _, path := range paths {
			if depth >= len(path) {
				continue
			}
			if g, secondary = bound[M](q, path[depth]); g != nil {
				return g, path[depth], secondary
			}
		}
	}
	return nil, nil, false
}

func longest(paths []attestation.Path) int {
	n := 0
	for _, p := range paths {
		n = max(n, len(p))
	}
	return n
}

func bound[M binder](q Question, cert *x509.Certificate) (g *Group, secondary bool) {
	for i := range q.Groups {
		m, ok := q.Groups[i].Mechanism.(M)
		if !ok {
			continue
		}
		if bound, second := m.Binds(cert, q.Trust); bound {
			return &q.Groups[i], second
		}
	}
	return nil, false
}

// groupByKey tries the key groups, the remembered one first, then oldest first.
func (r *Resolver) groupByKey(e attestation.TokenEvidence, q Question) (Match, attestation.Proof, error) {
	memory := q.Subject.Scope.Fold() + "/" + q.Subject.ID.Fold()
	why := attestation.Refuse(errors.New("no enrollment"))
	for _, g := range r.order(q.Groups, memory) {
		m, ok := g.Mechanism.(attestation.GroupKey)
		if !ok {
			continue
		}
		proof, spelling, err := r.verifier.VerifyGroupKey(m, e, q.Subject)
		if err == nil {
			r.remembered.Add(memory, g.ID)
			return groupMatch(g, spelling), proof, nil
		}
		why = err
	}
	return Match{}, attestation.Proof{}, why
}

func (r *Resolver) order(groups []Group, memory string) []*Group {
	out := make([]*Group, 0, len(groups))
	last, _ := r.remembered.Get(memory)
	for i := range groups {
		if groups[i].ID == last {
			out = append(out, &groups[i])
		}
	}
	for i := range groups {
		if groups[i].ID != last {
			out = append(out, &groups[i])
		}
	}
	return out
}

func groupMatch(g *Group, spelling string) Match {
	return Match{
		Ref: Ref{Group: g.ID}, Settings: &g.Settings, Mechanism: g.Mechanism, Group: g,
		Disabled: !g.Enabled, KeySpelling: spelling,
	}
}

// Anchors returns what to look groups up under for a device: everything that can
// stand above its leaf, or the prefixes of its ID that the scope's key groups use.
func Anchors(e attestation.Evidence, t *attestation.Trust, id dps.RegistrationID, prefixLengths []int) []Anchor {
	switch e := e.(type) {
	case attestation.X509Evidence:
		return reachAnchors(t.Reach(e.Chain))
	case attestation.TokenEvidence: // or a poll of a TPM
		return append(prefixAnchors(id.Fold(), prefixLengths), TPMAnchor())
	case nil: // see [Assume]
		return prefixAnchors(id.Fold(), prefixLengths)
	case attestation.TPMEvidence:
		return []Anchor{TPMAnchor()}
	}
	return nil
}

func reachAnchors(reach attestation.Reach) []Anchor {
	var out []Anchor
	for _, t := range reach.Thumbprints {
		out = append(out, CertificateAnchor(t))
	}
	for _, name := range reach.Authorities {
		out = append(out, AuthorityAnchor(name))
	}
	for _, subject := range reach.Subjects {
		out = append(out, SubjectAnchor(subject))
	}
	return out
}

func prefixAnchors(folded string, lengths []int) []Anchor {
	out := []Anchor{PrefixAnchor("")}
	for _, n := range lengths {
		if n > 0 && n <= len(folded) {
			out = append(out, PrefixAnchor(folded[:n]))
		}
	}
	return out
}
