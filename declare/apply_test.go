package declare_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

func serve(t *testing.T) (*managementtest.World, *client.Admin) {
	t.Helper()
	w := managementtest.Start(t)
	s := httptest.NewServer(w.Admin)
	t.Cleanup(s.Close)
	return w, &client.Admin{URL: s.URL, Token: w.AdminToken}
}

func imported(_ context.Context, _ string, _ declare.EnrollmentFile, _ bool) (admin.ImportProgress, error) {
	return admin.ImportProgress{Row: 3, Rejected: 2}, nil
}

// read makes the plan of a file for a server.
func read(t *testing.T, a *client.Admin, file string, prune bool) declare.Plan {
	t.Helper()
	wanted, err := declare.Loader{ReadFile: func(string) ([]byte, error) { return []byte(file), nil }}.Load("f.yaml")
	if err != nil {
		t.Fatal(err)
	}
	states, err := declare.Reader{Admin: a, Import: imported, All: prune}.Read(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := declare.New(wanted, states, prune)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

const two = `service: {idScope: 0neWORLD}
ipFilterRules: []
linkedHubs: [{name: hub1.example, location: north}, {name: hub2.example}]
enrollmentGroups: [{enrollmentGroupId: g, attestation: {type: symmetricKey}}]
`

// TestApplyMeetsAnotherWriter: what somebody wrote after the plan was made is never
// overwritten, whatever it is.
func TestApplyMeetsAnotherWriter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		prune      bool
		meanwhile  func(ctx context.Context, a *client.Admin) error
		want       []string
	}{
		{
			"an update", two, false,
			func(ctx context.Context, a *client.Admin) error {
				_, err := a.UpdateHub(ctx, "0neWORLD", "hub1.example", admin.LinkedHub{AllocationWeight: new(9)})
				return err
			},
			[]string{"update linkedHub hub1.example of ID scope 0neWORLD: somebody else changed it", "0 of 2 changes were made"},
		},
		{
			"a creation", two, false,
			func(ctx context.Context, a *client.Admin) error {
				_, err := a.PutEnrollmentGroup(ctx, "0neWORLD", "G", admin.EnrollmentGroup{EnrollmentGroup: service.EnrollmentGroup{
					Attestation: &service.AttestationMechanism{Type: new("symmetricKey")},
				}})
				return err
			},
			[]string{"create enrollmentGroup g of ID scope 0neWORLD: ", "exists", "1 of 2 changes were made and stay"},
		},
		{
			"a deletion", "service: {idScope: 0neWORLD}\nlinkedHubs: [{name: hub1.example}]\n", true,
			func(ctx context.Context, a *client.Admin) error {
				_, err := a.UpdateHub(ctx, "0neWORLD", "hub2.example", admin.LinkedHub{AllocationWeight: new(9)})
				return err
			},
			[]string{"delete linkedHub hub2.example of ID scope 0neWORLD: somebody else changed it"},
		},
		{
			"the scope", "service: {idScope: 0neWORLD, allocationPolicy: static}\n", false,
			func(ctx context.Context, a *client.Admin) error {
				_, err := a.UpdateScope(ctx, "0neWORLD", admin.Scope{DisableLocalAuth: new(true)})
				return err
			},
			[]string{"update scope 0neWORLD of ID scope 0neWORLD: somebody else changed it"},
		},
		{
			"rows that are rejected", "service: {idScope: 0neWORLD}\nenrollmentFiles: [{file: lot.csv, lot: l}]\n", false,
			func(context.Context, *client.Admin) error { return nil },
			[]string{"update enrollmentFile lot.csv of ID scope 0neWORLD: 2 of 3 rows were rejected"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, a := serve(t)
			plan := read(t, a, tt.file, tt.prune)
			if err := tt.meanwhile(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			before := len(w.Audits(t))
			done := 0
			err := declare.Applier{Admin: a, Import: imported, Done: func(declare.Step) { done++ }}.Apply(t.Context(), plan)
			stopped, ok := errors.AsType[*declare.StoppedError](err)
			if !ok || stopped.Applied != done {
				t.Fatalf("got %v after %d changes", err, done)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if wrote := len(w.Audits(t)) - before; wrote != done {
				t.Errorf("%d writes, %d told of", wrote, done)
			}
		})
	}
}

// TestApplyAgain: what stopped is finished by a new plan, and then nothing is left.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
	w, a := serve(t)
	apply := func() int {
		plan := read(t, a, two, false)
		if err := (declare.Applier{Admin: a}).Apply(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		return len(plan.Changes())
	}
	if n := apply(); n != 2 {
		t.Errorf("%d changes, want 2", n)
	}
	before := w.Audits(t)
	if n := apply(); n != 0 || len(w.Audits(t)) != len(before) {
		t.Errorf("a second time: %d changes, %v written", n, w.Audits(t)[len(before):])
	}
}

// Entries of a deny list are added many to a call, each of which is one commit.
func TestApplyAddsDenialsTogether(t *testing.T) {
	t.Parallel()
	w, a := serve(t)
	var file strings.Builder
	file.WriteString("service: {idScope: 0neWORLD}\ndenials:\n")
	for i := range 120 {
		fmt.Fprintf(&file, "  - {kind: serial, value: \"%X\"}\n", i+1)
	}
	before := len(w.Audits(t))
	done := 0
	applier := declare.Applier{Admin: a, Import: imported, Done: func(declare.Step) { done++ }}
	if err := applier.Apply(t.Context(), read(t, a, file.String(), false)); err != nil {
		t.Fatal(err)
	}
	list, err := a.Denials(t.Context(), "0neWORLD")
	if n := len(w.Audits(t)) - before; err != nil || len(list) != 120 || done != 120 || n != 3 {
		t.Errorf("%d entries, %d steps told, %d calls, %v", len(list), done, n, err)
	}
	if again := read(t, a, file.String(), true); len(again.Changes()) > 0 {
		t.Errorf("left to do: %v", again.Changes())
	}
}

// Entries are told apart by letter case, as the deny list keeps them.
func TestDenialsDifferByCase(t *testing.T) {
	t.Parallel()
	_, a := serve(t)
	const file = "service: {idScope: 0neWORLD}\ndenials: [{kind: issuer, value: CN=line}, {kind: issuer, value: CN=LINE}]\n"
	if err := (declare.Applier{Admin: a, Import: imported}).Apply(t.Context(), read(t, a, file, false)); err != nil {
		t.Fatal(err)
	}
	pruned := read(t, a, "service: {idScope: 0neWORLD}\ndenials: [{kind: issuer, value: CN=LINE}]\n", true)
	if c := pruned.Changes(); len(c) != 1 || c[0].Action != declare.Delete || c[0].Name != "issuer CN=line" {
		t.Errorf("planned %+v", c)
	}
}
