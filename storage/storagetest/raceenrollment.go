package storagetest

import (
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/storage"
)

func noPrecondition() enrollment.Precondition { return enrollment.Precondition{} }

func (w *world) replicas() [2]storage.Store {
	if w.other != nil {
		return [2]storage.Store{w.store, w.other}
	}
	return [2]storage.Store{w.store, w.store}
}

func racePut(w *world) {
	for i := range raceRounds {
		var errs [2]error
		together(2, func(k int) {
			_, errs[k] = w.replicas()[k].Enrollments().PutIndividual(w.ctx, zone, keyIndividual(w, deviceN(i)), enrollment.Precondition{Absent: true})
		})
		w.oneWinner(i, errs[0] == nil, errs[1] == nil)
		for _, err := range errs {
			if err != nil {
				w.code(err, dps.EnrollmentExists)
			}
		}
	}
}

func raceGroups(w *world) {
	for i := range raceRounds {
		var errs [2]error
		together(2, func(k int) {
			g := enrollment.Group{
				ID: fmt.Sprintf("g-%d-%d", i, k), Settings: settings(w),
				Mechanism: attestation.X509CA{PrimaryRef: fmt.Sprintf("ca-%d", i)},
			}
			_, errs[k] = w.replicas()[k].Enrollments().PutGroup(w.ctx, zone, g, noPrecondition())
		})
		w.oneWinner(i, errs[0] == nil, errs[1] == nil)
		for _, err := range errs {
			if err != nil {
				w.code(err, dps.AlreadyExists)
			}
		}
	}
}
