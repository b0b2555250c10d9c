package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/registration"
)

// planProgress is how often a plan tells how far it got.
const planProgress = 500 * time.Millisecond

// PlanAllocation says where devices would land after a change.
func (a *api) PlanAllocation(ctx context.Context, r admin.PlanAllocationRequestObject) (admin.PlanAllocationResponseObject, error) {
	p, err := allocationPlan(*r.Body)
	if err != nil {
		return nil, err
	}
	return &planning{api: a, ctx: ctx, scope: dps.IDScope(r.IDScope), plan: p}, nil
}

func allocationPlan(m admin.AllocationPlanRequest) (p management.AllocationPlan, err error) {
	p.Samples = m.Samples
	for _, h := range value(m.Hubs) {
		p.Hubs = append(p.Hubs, management.PlannedLink{
			HostName: h.HostName, Linked: h.Linked, AllocationWeight: h.AllocationWeight, MaxDevices: h.MaxDevices,
			Drain: h.Drain, ApplyAllocation: h.ApplyAllocationPolicy,
		})
	}
	if m.AllocationPolicy != nil {
		policy, err := wire.AllocationPolicy("allocationPolicy", *m.AllocationPolicy)
		if err != nil {
			return p, err
		}
		p.Policy = &policy
	}
	if f := m.Filter; f != nil {
		p.Filter, err = recordSearch(admin.ListRegistrationsParams{IDPrefix: f.IDPrefix, Hub: f.Hub, Group: f.Group, Status: f.Status})
	}
	return p, err
}

// planning is a plan whose answer is streamed.
type planning struct {
	api   *api
	ctx   context.Context //nolint:containedctx // of the request, which the generated interface does not hand on
	scope dps.IDScope
	plan  management.AllocationPlan

	out   *stream
	told  time.Time
	begun bool // the status has been sent
}

// VisitPlanAllocationResponse makes the plan. An error that it returns is answered as
// such; one that comes too late for that ends the stream.
func (p *planning) VisitPlanAllocationResponse(w http.ResponseWriter) error {
	var ctx context.Context
	p.out, ctx = openStream(p.ctx, w, http.NoBody)
	defer p.out.close()
	p.told, p.plan.Progress = p.api.c.Now(), p.progress
	f, err := p.api.c.Management.PlanAllocation(ctx, callerOf(p.ctx), p.scope, p.plan)
	if err != nil && !p.begun {
		return err
	}
	if err != nil {
		return p.failed(err)
	}
	return p.send(admin.AllocationPlanEvent{Done: new(fromForecast(f))})
}

func (p *planning) progress(devices int64) error {
	if now := p.api.c.Now(); now.Sub(p.told) >= planProgress {
		p.told = now
		return p.send(admin.AllocationPlanEvent{Progress: &admin.AllocationPlanProgress{Devices: devices}})
	}
	return nil
}

func (p *planning) failed(err error) error {
	e := restserver.ExchangeOf(p.ctx)
	e.Err = err
	row, body := apierror.NewBody(err, e.TrackingID, p.api.c.Now())
	// It ends with this whether or not somebody is left to read it.
	_ = p.send(admin.AllocationPlanEvent{Failed: &admin.ImportFailure{Code: row.Name, Message: body.Message, TrackingID: e.TrackingID}})
	return nil
}

func (p *planning) send(e admin.AllocationPlanEvent) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	if !p.begun {
		p.begun = true
		p.out.w.Header().Set("Content-Type", "application/x-ndjson")
		p.out.w.WriteHeader(http.StatusOK)
	}
	if _, err := p.out.Write(append(line, '\n')); err != nil {
		return dps.Wrap(dps.BadRequest, err, "the caller has gone")
	}
	if err := p.out.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return dps.Wrap(dps.BadRequest, err, "the caller has gone")
	}
	return nil
}

func fromForecast(f registration.Forecast) admin.AllocationPlan {
	return admin.AllocationPlan{
		ConfigurationVersion: f.ConfigVersion, Devices: f.Devices,
		Hubs: each(f.Hubs, func(h registration.HubForecast) admin.PlannedHub {
			return admin.PlannedHub{HostName: h.Hub, Linked: h.Linked, Now: h.Now, Then: h.Then}
		}),
		Moves: each(f.Moves, func(m registration.Flow) admin.PlannedMove {
			return admin.PlannedMove{From: m.From, To: m.To, Devices: m.Devices, Samples: each(m.Samples, plainID)}
		}),
		Others: each(f.Others, func(l registration.Lot) admin.PlannedOther {
			return admin.PlannedOther{Kind: string(l.Fate), Reason: optional(l.Reason), Devices: l.Devices, Samples: each(l.Samples, plainID)}
		}),
	}
}

func plainID(id dps.RegistrationID) string { return string(id) }
