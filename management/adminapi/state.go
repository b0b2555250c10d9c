package adminapi

import (
	"context"
	"io"
	"math"
	"net/http"

	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/registration"
)

// GetState shows the state of this replica and of the store.
func (a *api) GetState(ctx context.Context, _ admin.GetStateRequestObject) (admin.GetStateResponseObject, error) {
	s, err := a.c.Management.State(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	now := a.c.Now()
	return admin.GetState200JSONResponse{
		Version: s.Version, Store: s.Store, UptimeSeconds: int64(s.Uptime.Seconds()), OperationsHere: s.Flights,
		Operations: pending(s.Pending.Operations), Removals: pending(s.Pending.Removals), Hubs: each(s.Hubs, func(h registration.HubState) admin.HubState { return fromHealth(h, s.Loads) }),
		Certificates: each(s.Certificates, func(c management.Certificate) admin.CertificateState {
			days := int(math.Floor(c.Expires.Sub(now).Hours() / 24))
			return admin.CertificateState{
				Name: c.Name, IDScope: optional(string(c.Scope)), Subject: optional(c.Subject), ExpiresInDays: days, Expiry: wire.Time(c.Expires),
			}
		}),
		RevocationSources: new(each(s.Revocations, fromSource)), Hooks: new(each(s.Hooks, fromHookState)),
		GeoipDatabases: geoipDatabases(s.GeoIP),
	}, nil
}

func fromSource(s management.RevocationSource) admin.RevocationSourceState {
	return admin.RevocationSourceState{
		Kind: s.Kind, Issuer: s.Issuer, From: s.From, ThisUpdate: wire.Time(s.ThisUpdate), NextUpdate: wire.Time(s.NextUpdate),
		Entries: new(s.Entries), AnsweredDateTimeUtc: wire.Time(s.Fetched), Failures: s.Failures, LastError: optional(s.Err),
	}
}

func pending(n int) admin.ResultCount {
	return admin.ResultCount{Value: int64(n), Approximate: n >= registration.MaxPending}
}

func fromHealth(h registration.HubState, loads map[string]int64) admin.HubState {
	out := admin.HubState{
		HostName: h.HostName, BreakerOpen: h.Open, Queued: h.Queued, InFlight: h.InFlight,
		ExpectedDelaySeconds: float32(h.ExpectedDelay.Seconds()), LastErrorDateTimeUtc: wire.Time(h.LastErrorAt),
	}
	if devices, ok := loads[h.HostName]; ok {
		out.Devices = &devices
	}
	if h.LastError != nil {
		out.LastError = new(h.LastError.Error())
	}
	return out
}

// GetRetention shows how long records are kept.
func (a *api) GetRetention(ctx context.Context, _ admin.GetRetentionRequestObject) (admin.GetRetentionResponseObject, error) {
	r, err := a.c.Management.Retention(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return admin.GetRetention200JSONResponse(fromRetention(r)), nil
}

// PutRetention sets how long records are kept.
func (a *api) PutRetention(ctx context.Context, r admin.PutRetentionRequestObject) (admin.PutRetentionResponseObject, error) {
	next := management.Retention{
		AuditDays: value(r.Body.AuditDays), RefusalDays: value(r.Body.RefusalDays), OrphanDays: value(r.Body.OrphanedRegistrationDays),
	}
	if err := a.c.Management.SetRetention(ctx, callerOf(ctx), next); err != nil {
		return nil, err
	}
	return admin.PutRetention200JSONResponse(fromRetention(next)), nil
}

func fromRetention(r management.Retention) admin.Retention {
	return admin.Retention{AuditDays: number(r.AuditDays), RefusalDays: number(r.RefusalDays), OrphanedRegistrationDays: number(r.OrphanDays)}
}

// Backup streams the whole store.
func (a *api) Backup(ctx context.Context, _ admin.BackupRequestObject) (admin.BackupResponseObject, error) {
	return backup{ctx, a}, nil
}

// backup is an answer that is written as the store is read.
type backup struct {
	ctx context.Context //nolint:containedctx // the request's, for the answer's time
	api *api
}

// VisitBackupResponse implements admin.BackupResponseObject. What fails after the first
// byte can't be told but by breaking off.
func (b backup) VisitBackupResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/gzip")
	stream, ctx := openStream(b.ctx, w, http.NoBody)
	defer stream.close()
	out := &begun{Writer: stream}
	err := b.api.c.Management.Backup(ctx, callerOf(b.ctx), out)
	if err != nil && out.yes {
		panic(http.ErrAbortHandler)
	}
	return err
}

// begun remembers whether anything was written.
type begun struct {
	io.Writer

	yes bool
}

// Write implements [io.Writer].
func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.Writer.Write(p)
}
