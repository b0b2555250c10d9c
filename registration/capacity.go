package registration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/enrollment/rule"
)

// maxChoices bounds how often one request chooses again because the room of its hub went
// to others in the meantime: each time the counts are read anew.
const maxChoices = 8

// applicant is a device that looks for a hub.
type applicant struct {
	id       dps.RegistrationID
	deviceID string              // that it shall have in the hub
	record   *Registration       // as it stands; nil: it never registered
	about    *rule.Case          // nil: its entry has no rule, or has judged
	latency  *allocation.Latency // nil: the policy does not go by it
	// residency are the tags that its hub must have.
	residency []string
}

// applicantOf returns the applicant that a prepared row is about.
func (r *Registrar) applicantOf(row *Registration, req *Request, a *admission) (applicant, error) {
	about, err := r.caseOf(req, a)
	who := applicant{id: row.ID, deviceID: row.Operation.Want.DeviceID, record: a.current, about: about}
	r.locate(&who, req, a)
	return who, err
}

// in reports whether the device has its identity in the hub already, or is on its way
// there, and takes no further room.
func (w applicant) in(host string) bool {
	return w.record != nil && pointsTo(*w.record, host, w.deviceID)
}

// home returns the hub that the device is assigned to; empty: none.
func (w applicant) home() string {
	if w.record == nil {
		return ""
	}
	return w.record.Assignment.Hub
}

// weigh counts the devices of the candidates, where somebody asks, and passes by those
// that have no room, which it notes. Hubs without a limit cost nothing unless the policy
// is capacity, and neither does a device that stays where it is by that policy.
func (r *Registrar) weigh(ctx context.Context, who applicant, cfg *config, candidates []allocation.Candidate, why *decision) ([]allocation.Candidate, error) {
	if !needsLoads(who, candidates, why.Policy) {
		return candidates, nil
	}
	loads, err := r.store.Loads(ctx, cfg.Scope.ID)
	if err != nil {
		return nil, fmt.Errorf("count devices: %w", err)
	}
	room := make([]allocation.Candidate, 0, len(candidates))
	for _, c := range candidates {
		c.Devices = loads[dps.FoldASCII(c.Hub)]
		if c.MaxDevices > 0 && c.Devices >= c.MaxDevices && !who.in(c.Hub) {
			why.Full = append(why.Full, c.Hub)
			continue
		}
		room = append(room, c)
	}
	return room, nil
}

func needsLoads(who applicant, candidates []allocation.Candidate, policy enrollment.AllocationPolicy) bool {
	limited := false
	for _, c := range candidates {
		if policy == enrollment.Capacity && who.in(c.Hub) && dps.FoldASCII(c.Hub) == dps.FoldASCII(who.home()) {
			return false // it stays
		}
		limited = limited || c.MaxDevices > 0
	}
	return limited || policy == enrollment.Capacity
}

// room returns how many identities may be claimed in a hub; 0: any number.
func (c *config) room(host string) int64 {
	link, _ := c.linked(host)
	return int64(link.MaxDevices)
}

// leaving says, after the reason for a choice, that the former hub is drained.
func (c *config) leaving(host string) string {
	if link, ok := c.linked(host); ok && link.Drain {
		return "; its hub is drained"
	}
	return ""
}

// beginWithRoom plans and begins; where the chosen hub has filled up since it was
// planned, again.
func (r *Registrar) beginWithRoom(ctx context.Context, req *Request, a *admission) (*pending, error) {
	for range maxChoices {
		start, _, err := r.plan(ctx, req, a)
		if err != nil {
			return nil, err
		}
		p, err := r.begin(ctx, start, a)
		if errors.Is(err, errMoveWaits) {
			r.paces.note(a.move(), r.now())
			a.waits = true
			continue
		}
		if err == nil {
			r.latency.Cast(a.config.Scope.ID, start.Registration.ID, a.report)
			r.confirm(ctx, req, p)
		}
		if !dps.Is(err, dps.HubFull) {
			return p, err
		}
	}
	return nil, fillingUp()
}

func noRoom() error {
	return dps.Errorf(dps.HubFull, "every hub that could take this device is full or suspended")
}

func fillingUp() error {
	return &dps.Error{Code: dps.Unavailable, Message: "the linked hubs are filling up; try again", RetryAfter: time.Second}
}
