package registration

import (
	"context"
	"errors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// admission is a device that proved itself, and what decides about it.
type admission struct {
	config  *config
	match   enrollment.Match
	proof   attestation.Proof
	current *Registration
	grant   *grant         // of a TPM device, once it is planned for
	report  latency.Report // of latencies, once it is planned for
	// apiVersion is that of the request.
	apiVersion string
	// known is, of a forecast, what was noted of the device when it registered last; nil: it
	// is here to be asked.
	known *decision
	// waits tells that a move has just refused to let the device go.
	waits bool
}

// maxConfigReloads bounds how often one admission starts over because the scope's
// configuration changed under it.
const maxConfigReloads = 3

// admit is consider, with a note of who is turned away.
func (r *Registrar) admit(ctx context.Context, req *Request) (*admission, error) {
	if e, ok := req.Evidence.(attestation.TPMEvidence); ok && e.Token == nil {
		return nil, r.resolver.Verifier().Challenge(e, attestation.Subject{Scope: req.Scope, ID: req.ID})
	}
	if req.Evidence == nil { // as in an explanation, which takes the device for who it claims to be
		return nil, attestation.Refuse(errors.New("no credential"))
	}
	a, err := r.consider(ctx, req)
	if err == nil && a.match.Revoked != "" {
		err = r.revoke(ctx, req, a)
	}
	if dps.Is(err, dps.Unauthorized) || errors.Is(err, attestation.ErrUnknownStanding) {
		r.Refused(req, err)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// consider reads what decides about the device and holds it to that. Without a proof the
// error is [dps.Unauthorized], also for an unknown scope. It writes nothing.
func (r *Registrar) consider(ctx context.Context, req *Request) (*admission, error) {
	cfg, err := r.configs.get(ctx, req.Scope)
	if err != nil {
		return nil, unknownScope(err)
	}
	for range maxConfigReloads {
		snapshot, err := r.store.Admit(ctx, admitQuery(req, cfg))
		if err != nil {
			return nil, unknownScope(err)
		}
		if snapshot.ConfigVersion == cfg.Version {
			if why := cfg.Scope.Refuses(req.Origin, scope.DeviceEndpoint); why != nil {
				return nil, attestation.Refuse(why)
			}
			return r.resolve(ctx, req, cfg, snapshot)
		}
		if cfg, err = r.configs.load(ctx, req.Scope); err != nil {
			return nil, unknownScope(err)
		}
	}
	return nil, dps.Errorf(dps.Unavailable, "the scope's configuration is changing; try again")
}

func admitQuery(req *Request, cfg *config) AdmitQuery {
	q := AdmitQuery{Scope: req.Scope, ID: req.ID}
	q.Anchors = enrollment.Anchors(req.Evidence, cfg.trust, req.ID, cfg.KeyPrefixLengths)
	if e, ok := req.Evidence.(attestation.X509Evidence); ok {
		q.Leaf = attestation.Thumbprint(e.Chain[0])
	}
	return q
}

func (r *Registrar) resolve(ctx context.Context, req *Request, cfg *config, s Snapshot) (*admission, error) {
	if req.Evidence == nil {
		return assume(cfg, s, req)
	}
	match, proof, err := r.resolver.Resolve(ctx, enrollment.Question{
		Candidates: s.Candidates, Evidence: req.Evidence, Trust: cfg.trust,
		Subject:            attestation.Subject{Scope: cfg.Scope.ID, ID: req.ID},
		TrustInlineSigning: cfg.Scope.TrustInlineSigning, Earlier: earlierTPM(s.Current, r.now()), EarlierEntry: earlierEntry(s.Current),
	})
	if err != nil {
		return nil, err
	}
	return &admission{config: cfg, match: match, proof: proof, current: s.Current, apiVersion: req.APIVersion}, nil
}

// unknownScope hides whether a scope exists: a stranger sees what a wrong key sees.
func unknownScope(err error) error {
	if dps.Is(err, dps.NotFound) {
		return attestation.Refuse(errors.New("unknown ID scope"))
	}
	return err
}
