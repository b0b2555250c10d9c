package management

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	retentionSetting = "retention"
	maxRetentionDays = 36_500
	day              = 24 * time.Hour

	// sweepEvery is how often a replica asks whether it is its turn, and sweepLease how
	// long it has then: one sweep an hour in the whole deployment.
	sweepEvery = 5 * time.Minute
	sweepLease = time.Hour
	// sweepBatch bounds the rows of one transaction, and sweepBatches those of one sweep,
	// so that it never stands in the way of devices.
	sweepBatch   = 1000
	sweepBatches = 10_000
	// sweepPause is between two batches.
	sweepPause = 20 * time.Millisecond
)

// Retention is for how many days records are kept; 0: for ever.
type Retention struct {
	AuditDays   int `json:"audit,omitempty"`
	RefusalDays int `json:"refusals,omitempty"`
	OrphanDays  int `json:"orphans,omitempty"` // registration records whose enrollment was deleted
}

// Retention returns the settings. Errors: those of a caller who is no [RoleViewer] of the
// deployment.
func (s *Service) Retention(ctx context.Context, c Caller) (Retention, error) {
	if err := c.DemandDeployment(RoleViewer); err != nil {
		return Retention{}, err
	}
	return s.retention(ctx)
}

func (s *Service) retention(ctx context.Context) (Retention, error) {
	text, err := s.d.Deployment.Setting(ctx, retentionSetting)
	if err != nil || text == nil {
		return Retention{}, err
	}
	var r Retention
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("decode retention: %w", err)
	}
	return r, nil
}

// SetRetention replaces the settings. Errors: [dps.InvalidArgument], and those of
// a caller who is no [RoleOwner] of the deployment.
func (s *Service) SetRetention(ctx context.Context, c Caller, r Retention) error {
	if err := c.DemandDeployment(RoleOwner); err != nil {
		return err
	}
	detail := map[string]any{}
	for name, days := range map[string]int{"auditDays": r.AuditDays, "refusalDays": r.RefusalDays, "orphanedRegistrationDays": r.OrphanDays} {
		if days < 0 || days > maxRetentionDays {
			return dps.Invalid(name, "range", fmt.Sprintf("must be 1 to %d, or left out for ever", maxRetentionDays))
		}
		if days > 0 {
			detail[name] = days
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode retention: %w", err)
	}
	_, err = s.d.Deployment.PutSetting(s.audited(ctx, c, entry{action: "retention.put", detail: detail}), retentionSetting, text, false)
	return err
}

// RunRetention deletes what is past its time, until ctx ends. Any number of replicas may
// run it. It returns nil.
func (s *Service) RunRetention(ctx context.Context, log *zap.Logger) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				log.Warn("delete old records", zap.Error(err))
			}
		}
	}
}

// Swept is how many records a sweep deleted.
type Swept struct{ Audit, Refusals, Registrations int }

// Sweep deletes what is past its time, unless another replica did within the hour.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	var done Swept
	r, err := s.retention(ctx)
	if err != nil || r == (Retention{}) {
		return done, err
	}
	now := s.d.Now()
	won, err := s.d.Deployment.Lease(ctx, "retention", now, now.Add(sweepLease))
	if err != nil || !won {
		return done, err
	}
	before := func(days int) time.Time { return now.Add(-time.Duration(days) * day) }
	if r.AuditDays > 0 {
		done.Audit, err = sweep(ctx, before(r.AuditDays), s.d.Deployment.DeleteAudit)
	}
	if r.RefusalDays > 0 && err == nil {
		done.Refusals, err = sweep(ctx, before(r.RefusalDays), s.d.Deployment.DeleteRefusals)
	}
	if r.OrphanDays > 0 && err == nil {
		done.Registrations, err = s.sweepOrphans(ctx, before(r.OrphanDays))
	}
	if done == (Swept{}) {
		return done, err
	}
	detail := map[string]any{"audit": done.Audit, "refusals": done.Refusals, "registrations": done.Registrations}
	if aerr := s.audit(ctx, Caller{Actor: "system"}, entry{action: "retention.sweep", detail: detail}); err == nil {
		err = aerr
	}
	return done, err
}

// sweep deletes batch after batch, until one is not full.
func sweep(ctx context.Context, before time.Time, remove func(context.Context, time.Time, int) (int, error)) (int, error) {
	total := 0
	for range sweepBatches {
		n, err := remove(ctx, before, sweepBatch)
		if total += n; err != nil || n < sweepBatch {
			return total, err
		}
		if err := rest(ctx); err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *Service) sweepOrphans(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for from := (storage.Place{}); ; {
		n, next, err := s.d.Deployment.DeleteOrphans(ctx, before, from, sweepBatch)
		if total += n; err != nil || next == (storage.Place{}) {
			return total, err
		}
		from = next
		if err := rest(ctx); err != nil {
			return total, err
		}
	}
}

// rest lets others to the store between two batches.
func rest(ctx context.Context) error {
	timer := time.NewTimer(sweepPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
