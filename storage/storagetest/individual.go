package storagetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

func individualCases() []testCase {
	return []testCase{
		{"every mechanism is returned as it was put", individualMechanisms},
		{"every setting is returned as it was put", individualSettings},
		{"IDs meet folded, the first spelling stays", individualSpelling},
		{"U+212A is not k", individualKelvin},
		{"preconditions", individualPreconditions},
		{"a missing one", individualMissing},
		{"scopes keep apart", individualScopes},
		{"text that no store can hold", individualText},
		{"naming a hub", namingHub},
		{"pages by folded ID", individualPages},
	}
}

func (w *world) individual(id dps.RegistrationID) enrollment.Individual {
	w.Helper()
	return must(w, func() (enrollment.Individual, error) { return w.enrollments().Individual(w.ctx, zone, id) })
}

func individualMechanisms(w *world) {
	mechanisms := []attestation.Mechanism{
		attestation.SymmetricKey{Primary: dps.NewSecret("cHJpbWFyeQ=="), Secondary: dps.NewSecret("c2Vj")},
		attestation.TPM{EndorsementKey: []byte{0, 1, 2, 255}, StorageRootKey: []byte("srk")},
		attestation.TPM{EndorsementKey: []byte{9}},
		attestation.X509Leaf{Primary: certificate(w, "leaf")},
		attestation.X509Leaf{Primary: certificate(w, "first"), Secondary: certificate(w, "second")},
		attestation.X509Leaf{Secondary: certificate(w, "second")},
		attestation.X509CA{PrimaryRef: "root", SecondaryRef: "next"},
	}
	for i, m := range mechanisms {
		e := enrollment.Individual{ID: dps.RegistrationID(fmt.Sprintf("dev-%d", i)), Mechanism: m, Settings: settings(w)}
		put := w.putIndividual(e)
		checkETag(w, put.ETag)
		e.ETag, e.Created = put.ETag, w.now
		w.same(e, put)
		w.same(e, w.individual(e.ID))
	}
}

func individualSettings(w *world) {
	e := keyIndividual(w, "dev")
	e.DeviceID, e.DeviceInfo = "Hub ID+", json.RawMessage(`{ "b" : 1, "a" : "<&>\u2028" }`)
	e.Settings = enrollment.Settings{
		AllocationPolicy: enrollment.Custom, Hubs: []string{"B.example", "a.example"}, LegacyHub: "x",
		Custom:      &enrollment.CustomAllocation{WebhookURL: "https://hook.example/?a=b&c", APIVersion: "2021-10-01"},
		Rule:        `hub.name == "a"`,
		Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true},
		InitialTwin: &enrollment.InitialTwin{Tags: json.RawMessage(`{"z":1, "a":2}`), Desired: json.RawMessage(`{"t":1.50}`)},
		IoTEdge:     true, CredentialPolicy: "cp", Lot: "lot 7", Uploader: "line-3",
		Updated: time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC),
	}
	put := w.putIndividual(e)
	e.ETag, e.Created = put.ETag, e.Updated
	w.same(e, put)
	w.same(e, w.individual("dev"))

	e.InitialTwin, e.Hubs, e.Custom, e.Reprovision, e.DeviceInfo = &enrollment.InitialTwin{}, nil, nil, nil, nil
	e.ETag = w.putIndividual(e).ETag
	w.same(e, w.individual("dev"))

	e.Updated = time.Date(2026, 2, 3, 4, 5, 6, 7999, time.FixedZone("", 3600))
	put = w.putIndividual(e)
	w.same(time.Date(2026, 2, 3, 3, 5, 6, 7000, time.UTC), put.Updated)
	w.same(put, w.individual("dev"))
}

func individualSpelling(w *world) {
	first := w.putIndividual(keyIndividual(w, "SN-Kilo"))
	change := keyIndividual(w, "sn-KILO")
	change.Enabled, change.Updated = false, w.after(60)
	second := w.putIndividual(change)
	w.same(dps.RegistrationID("SN-Kilo"), second.ID)
	w.same(first.Created, second.Created)
	w.same(w.after(60), second.Updated)
	if first.ETag == second.ETag {
		w.Error("the etag did not change")
	}
	w.same(second, w.individual("Sn-kIlO"))
}

func individualKelvin(w *world) {
	w.putIndividual(keyIndividual(w, "kelvin"))
	_, err := w.enrollments().Individual(w.ctx, zone, "\u212aelvin")
	w.code(err, dps.EnrollmentNotFound)
}

func individualPreconditions(w *world) {
	put := func(p enrollment.Precondition) (enrollment.Individual, error) {
		return w.enrollments().PutIndividual(w.ctx, zone, keyIndividual(w, "Dev"), p)
	}
	_, err := put(enrollment.Precondition{IfMatch: "*"})
	w.code(err, dps.PreconditionFailed)
	first := must(w, func() (enrollment.Individual, error) { return put(enrollment.Precondition{Absent: true}) })
	_, err = put(enrollment.Precondition{Absent: true})
	w.code(err, dps.EnrollmentExists)
	_, err = put(enrollment.Precondition{IfMatch: `"other"`})
	w.code(err, dps.PreconditionFailed)
	w.same(first, w.individual("dev"))
	for _, match := range []string{first.ETag.Quoted(), "*"} {
		_, err = put(enrollment.Precondition{IfMatch: match})
		w.ok(err)
	}
	w.code(w.enrollments().DeleteIndividual(w.ctx, zone, "dev", enrollment.Precondition{IfMatch: string(first.ETag)}), dps.PreconditionFailed)
	w.ok(w.enrollments().DeleteIndividual(w.ctx, zone, "DEV", enrollment.Precondition{IfMatch: "*"}))
	_, err = w.enrollments().Individual(w.ctx, zone, "dev")
	w.code(err, dps.EnrollmentNotFound)
}

func individualMissing(w *world) {
	_, err := w.enrollments().Individual(w.ctx, zone, "none")
	w.code(err, dps.EnrollmentNotFound)
	w.code(w.enrollments().DeleteIndividual(w.ctx, zone, "none", enrollment.Precondition{IfMatch: "*"}), dps.EnrollmentNotFound)
}

func individualScopes(w *world) {
	w.makeScope("0neOTHER")
	w.putIndividual(keyIndividual(w, "dev"))
	_, err := w.enrollments().Individual(w.ctx, "0neOTHER", "dev")
	w.code(err, dps.EnrollmentNotFound)
}

func individualText(w *world) {
	e := keyIndividual(w, "dev")
	for _, lot := range []string{"nul\x00", "\xff"} {
		e.Lot = lot
		_, err := w.enrollments().PutIndividual(w.ctx, zone, e, enrollment.Precondition{})
		w.code(err, dps.InvalidArgument)
	}
}

func namingHub(w *world) {
	naming := func(limit int) []enrollment.Ref {
		return must(w, func() ([]enrollment.Ref, error) { return w.enrollments().NamingHub(w.ctx, zone, "HUB.example", limit) })
	}
	e, g := keyIndividual(w, "Dev"), keyGroup(w, "Lot", "")
	e.Hubs, g.LegacyHub = []string{"other", "Hub.Example", "hub.example"}, "hub.EXAMPLE"
	w.putIndividual(e)
	w.putGroup(g)
	w.same([]enrollment.Ref{{Group: "Lot"}, {Individual: "Dev"}}, naming(10))
	w.same(1, len(naming(1)))
	e.Hubs = []string{"other"}
	w.putIndividual(e)
	w.same([]enrollment.Ref{{Group: "Lot"}}, naming(10))
	w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "lot", enrollment.Precondition{}))
	w.same(0, len(naming(10)))
}

func individualPages(w *world) {
	ids := []dps.RegistrationID{"a", "B", "b-1", "C", "d:1", "d_1"}
	for _, i := range []int{3, 0, 5, 2, 4, 1} {
		w.putIndividual(keyIndividual(w, ids[i]))
	}
	w.makeScope("0neOTHER")
	_, err := w.enrollments().PutIndividual(w.ctx, "0neOTHER", keyIndividual(w, "b"), enrollment.Precondition{})
	w.ok(err)
	page := func(after string, limit int) []enrollment.Individual {
		return must(w, func() ([]enrollment.Individual, error) {
			return w.enrollments().Individuals(w.ctx, zone, enrollment.Page{After: after, Limit: limit})
		})
	}
	var all []enrollment.Individual
	for _, id := range ids {
		all = append(all, w.individual(id))
	}
	w.same(all, page("", 7))
	w.same(all[:4], page("", 4))
	w.same(all[2:4], page("b", 2))
	w.same(all[4:], page("c", 2))
	w.same(all[4:], page("c-gone", 2))
	w.same(0, len(page("d_1", 2)))
}
