package storagetest

import (
	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

func standingCases() []testCase {
	return []testCase{
		{"records are read with the entries of their devices", standingsRead},
		{"standings come in pages, filtered", standingPages},
	}
}

func (w *world) standings(q registration.Search) enrollment.Found[registration.Standing] {
	w.Helper()
	return must(w, func() (enrollment.Found[registration.Standing], error) {
		return w.registrations().Standings(w.ctx, zone, q)
	})
}

func standingsRead(w *world) {
	e := keyIndividual(w, "Alone")
	e.DeviceID, e.Hubs, e.AllocationPolicy = "other", []string{"Old"}, enrollment.Static
	e.Reprovision = &enrollment.ReprovisionPolicy{UpdateHubAssignment: true}
	e = w.putIndividual(e)
	e.Mechanism = nil
	w.putIndividual(keyIndividual(w, "unregistered"))
	alone := w.assign("alone", "op1", "Old")
	running := w.start("member", "op1", "New")
	running.Registration.Operation.Entry = enrollment.Ref{Group: "Line"}
	running.Registration.Operation.APIVersion = "2018-11-01"
	running.Registration.Assignment = registration.Assignment{Hub: "Old", DeviceID: "was", Withdrawn: true}
	member := w.begin(running).Registration
	want := []registration.Standing{{
		Registration: registration.Registration{
			Scope: zone, ID: alone.ID, Created: alone.Created, Updated: alone.Updated,
			Assignment: registration.Assignment{Hub: alone.Assignment.Hub, DeviceID: alone.Assignment.DeviceID},
			Operation:  registration.Operation{Status: registration.Assigned, Entry: alone.Operation.Entry, APIVersion: alone.Operation.APIVersion},
		},
		Entry: &e,
	}, {
		Registration: registration.Registration{
			Scope: zone, ID: member.ID, Created: member.Created, Updated: member.Updated,
			Assignment: registration.Assignment{Hub: "Old", DeviceID: "was", Withdrawn: true},
			Operation: registration.Operation{
				Status: registration.Assigning, Hub: "new", Want: hub.Want{DeviceID: member.Operation.Want.DeviceID},
				Entry: enrollment.Ref{Group: "Line"}, APIVersion: "2018-11-01",
			},
		},
	}}
	got := w.standings(registration.Search{Order: enrollment.Order{Limit: 10}})
	if len(got.Items) > 0 && got.Items[0].Entry != nil { // of it, only this is promised
		e.Updated, e.Created, e.ETag = got.Items[0].Entry.Updated, got.Items[0].Entry.Created, got.Items[0].Entry.ETag
	}
	w.same(want, got.Items)
	if got.Next != nil {
		w.Error("there is no more")
	}
}

func standingPages(w *world) {
	var want []dps.RegistrationID
	for i := range 7 {
		hub := "old"
		if i%2 == 1 {
			hub = "new"
		}
		r := w.assign(deviceN(i), "op1", hub)
		if i%2 == 1 {
			want = append(want, r.ID)
		}
	}
	q := registration.Search{Hub: "NEW", Order: enrollment.Order{Limit: 2}}
	var got []dps.RegistrationID
	for {
		page := w.standings(q)
		for _, s := range page.Items {
			got = append(got, s.Registration.ID)
		}
		if page.Next == nil {
			break
		}
		q.After = *page.Next
	}
	w.same(want, got)
}
