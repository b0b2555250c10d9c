package registration

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/scope"
)

// giveUp puts an end to what the row's device had: an operation in flight, and, as the
// scope says, the identity in its hub.
func (s *Start) giveUp(a *admission) {
	s.withdraw(a.config.Scope.WhenRevoked)
	s.leave(a.current)
}

// withdraw takes the assigned identity out of force, once.
func (s *Start) withdraw(how scope.WhenRevoked) {
	as := &s.Registration.Assignment
	if as.Hub == "" || as.Withdrawn {
		return
	}
	switch how {
	case scope.RemoveIdentity:
		*as = Assignment{Withdrawn: true}
	case scope.DisableIdentity:
		as.Withdrawn = true
		for _, rm := range as.Removals() {
			rm.Scope, rm.Registration, rm.Disable, rm.Due = s.Registration.Scope, s.Registration.ID, true, s.Registration.Updated
			s.Removals = append(s.Removals, rm)
		}
	case scope.KeepIdentity:
	}
}

// revoke refuses a device whose credential was revoked or denied, and takes its identity
// out of force where the scope says so. Failing at that is no reason to admit it: the
// device's next try does it.
func (r *Registrar) revoke(ctx context.Context, req *Request, a *admission) error {
	if r.mustWithdraw(a) {
		if err := r.recordRevoked(ctx, req, a); err != nil {
			r.log.Warn("withdraw the identity of a revoked device", zap.String(logfield.Scope, string(a.config.Scope.ID)),
				zap.String(logfield.RegistrationID, string(req.ID)), zap.Error(err))
		}
	}
	return attestation.Refuse(errors.New(a.match.Revoked))
}

func (r *Registrar) mustWithdraw(a *admission) bool {
	how := a.config.Scope.WhenRevoked
	if how == "" || how == scope.KeepIdentity || a.current == nil {
		return false
	}
	as := a.current.Assignment
	return inFlight(a.current) || as.Hub != "" && !as.Withdrawn
}

func (r *Registrar) recordRevoked(ctx context.Context, req *Request, a *admission) error {
	s := &Start{}
	s.follow(a.current)
	if err := r.newRow(&s.Registration, req, a); err != nil {
		return err
	}
	s.doubt(a.current)
	s.fail(attestation.Refuse(errors.New(a.match.Revoked)))
	s.Registration.Operation.Decision = decision{Entry: a.match.Ref, Proof: a.proof.Kind, Reason: clipped(a.match.Revoked)}.encode()
	s.giveUp(a)
	_, err := r.commit(ctx, s, a) // lost to another request: its successor does it
	return err
}

func clipped(reason string) string { return reason[:min(len(reason), maxReason)] }
