package management_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

func rowOf(id, lot string) management.ImportRow {
	e := enrollment.Individual{ID: dps.RegistrationID(id), Mechanism: attestation.SymmetricKey{}, Settings: enrollment.Settings{Enabled: true, Lot: lot}}
	return management.ImportRow{Entry: e}
}

// imported imports rows in one batch and returns what became of them: "" or an error's
// code stands for a rejection.
func imported(t *testing.T, im *management.Import, rows ...management.ImportRow) []string {
	t.Helper()
	results, err := im.Batch(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(results))
	for i, r := range results {
		out[i] = []string{"", "created", "replaced", "unchanged"}[r.Outcome]
		if r.Err != nil {
			out[i] = fmt.Sprint(dps.CodeOf(r.Err) == dps.Forbidden)
		}
	}
	return out
}

func begin(t *testing.T, w *managementtest.World, c management.Caller) *management.Import {
	t.Helper()
	im, err := w.Management.NewImport(t.Context(), c, managementtest.Scope, management.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func TestUploadersKeepToTheirOwn(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	uploader := func(name string) management.Caller {
		return management.Caller{Actor: name, Grants: []management.Grant{{Role: management.RoleUploader, Scopes: []dps.IDScope{managementtest.Scope}}}}
	}
	one, two := begin(t, w, uploader("line-1")), begin(t, w, uploader("line-2"))
	const refused = "true"
	for _, step := range []struct {
		by   *management.Import
		rows []management.ImportRow
		want []string
	}{
		{one, []management.ImportRow{rowOf("a", "47"), rowOf("b", "47"), rowOf("no-lot", "")}, []string{"created", "created", refused}},
		{two, []management.ImportRow{rowOf("b", "48"), rowOf("c", "48")}, []string{refused, "created"}},
		{one, []management.ImportRow{rowOf("a", "49"), rowOf("b", "47"), rowOf("c", "48")}, []string{"replaced", "unchanged", refused}},
		{begin(t, w, management.Operator("")), []management.ImportRow{rowOf("b", "50"), rowOf("c", "48")}, []string{"replaced", "unchanged"}},
		{one, []management.ImportRow{rowOf("b", "47")}, []string{"replaced"}},
	} {
		if diff := cmp.Diff(step.want, imported(t, step.by, step.rows...)); diff != "" {
			t.Fatal(diff)
		}
	}
	for id, want := range map[dps.RegistrationID]string{"a": "line-1", "b": "line-1", "c": "line-2"} {
		if e, err := w.Store.Enrollments().Individual(t.Context(), managementtest.Scope, id); err != nil || e.Uploader != want {
			t.Errorf("%s is of %q, want %q (%v)", id, e.Uploader, want, err)
		}
	}
	viewer := management.Caller{Grants: []management.Grant{{Role: management.RoleViewer}}}
	if _, err := w.Management.NewImport(t.Context(), viewer, managementtest.Scope, management.ImportOptions{}); !dps.Is(err, dps.Forbidden) {
		t.Errorf("a viewer: %v", err)
	}
}

// A batch after one that was all new is not looked up first; entries that are there all
// the same are found out, and keep their generated keys.
func TestImportGuessesThatALotIsNew(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	im := begin(t, w, management.Operator(""))
	imported(t, im, rowOf("a", "47"))
	other := begin(t, w, management.Operator(""))
	imported(t, other, rowOf("b", "47"), rowOf("c", "46"))
	before, err := w.Store.Enrollments().Individual(t.Context(), managementtest.Scope, "b")
	if err != nil {
		t.Fatal(err)
	}
	got := imported(t, im, rowOf("b", "47"), rowOf("c", "47"), rowOf("d", "47"))
	if diff := cmp.Diff([]string{"unchanged", "replaced", "created"}, got); diff != "" {
		t.Error(diff)
	}
	after, err := w.Store.Enrollments().Individual(t.Context(), managementtest.Scope, "b")
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestImportLeavesOneAuditRecordPerBatch(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	im := begin(t, w, management.Operator("track"))
	before := len(w.Audits(t))
	imported(t, im, rowOf("a", "47"), rowOf("b", "47"))
	imported(t, im, rowOf("a", "47"), rowOf("b", "47"))
	imported(t, im, rowOf("a", "48"), rowOf("c", "47"))
	got := w.Audits(t)[before:]
	if diff := cmp.Diff([]string{"token:admin enrollment.import 47", "token:admin enrollment.import "}, got); diff != "" {
		t.Error(diff)
	}
	if a := w.LastAudit(t); a.TrackingID != "track" || string(a.Detail) != `{"created":1,"replaced":1,"first":"a","last":"c"}` {
		t.Errorf("%+v %s", a, a.Detail)
	}
}
