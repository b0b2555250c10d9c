package storagetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

// RunSearch runs the cases of searches alone, for a store that looks at few records at a
// time.
func RunSearch(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Helper()
	for _, c := range searchCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newWorld(t, open(t)))
		})
	}
}

func searchCases() []testCase {
	return []testCase{
		{"of individual enrollments finds what a scan finds", searchIndividuals},
		{"of groups finds what a scan finds", searchGroups},
		{"of registrations finds what a scan finds", searchRecords},
		{"goes on where it was while others write", searchMoves},
		{"for text that no store can hold is refused", searchText},
	}
}

const searched = 60 // records of each kind

// pick is the n-th of a few texts.
func pick(n int, texts ...string) string { return texts[n%len(texts)] }

func searchedSettings(w *world, n int) enrollment.Settings {
	s := enrollment.Settings{Enabled: n%4 != 0, Lot: pick(n, "", "lot-1", "Lot-2"), Uploader: pick(n/2, "", "ann", "bob"), Updated: w.after(n * 7 % 13)}
	if n%5 < 2 {
		s.Hubs = []string{pick(n, "Hub-1.example", "hub-2.example"), "hub-3.example"}
	}
	if n%3 == 0 {
		s.InitialTwin = &enrollment.InitialTwin{Tags: json.RawMessage(fmt.Sprintf(`{"site":{"line":"%d","shift": %d}}`, n%2, n%5))}
	}
	return s
}

func searchedID(n int) string {
	return fmt.Sprintf("%s-%02d", pick(n, "Dev", "dev:a", "abc"), n)
}

func searchedIndividual(w *world, n int) enrollment.Individual {
	e := keyIndividual(w, dps.RegistrationID(searchedID(n)))
	e.Settings = searchedSettings(w, n)
	switch n % 6 {
	case 0:
		c := certificate(w, searchedID(n))
		e.Mechanism = attestation.X509Leaf{Primary: c}
	case 1:
		e.Mechanism = attestation.TPM{EndorsementKey: []byte{1}}
	case 2:
		e.Mechanism = attestation.X509CA{PrimaryRef: "ca"}
	}
	return e
}

// drawSearch draws filters, most of them absent, and an order.
func drawSearch(t *rapid.T, w *world) enrollment.Search {
	var s enrollment.Search
	text := func(label string, texts ...string) string {
		return rapid.SampledFrom(append(slices.Repeat([]string{""}, 2*len(texts)), texts...)).Draw(t, label)
	}
	s.Prefix, s.ID = text("prefix", "dev", "DEV:", "a", "zz"), text("id", "abc-02", "dev-00")
	if rapid.IntRange(0, 3).Draw(t, "enabled?") == 0 {
		enabled := rapid.Bool().Draw(t, "enabled")
		s.Enabled = &enabled
	}
	s.Kind = attestation.Kind(text("kind", string(attestation.KindX509), string(attestation.KindTPM), string(attestation.KindSymmetricKey)))
	s.BoundToCA = (s.Kind == "" || s.Kind == attestation.KindX509) && rapid.IntRange(0, 3).Draw(t, "bound to CA") == 0
	s.Lot, s.Uploader, s.Hub = text("lot", "lot-1", "none"), text("uploader", "ann"), text("hub", "HUB-1.example", "hub-3.example")
	s.Created, s.Updated = drawRange(t, w, "created"), drawRange(t, w, "updated")
	if rapid.IntRange(0, 4).Draw(t, "tag?") == 0 {
		s.Tag = enrollment.Tag{Path: []string{"site", "line"}, Value: "1"}
		if rapid.Bool().Draw(t, "number") {
			s.Tag = enrollment.Tag{Path: []string{"site", "shift"}, Value: "3"}
		}
	}
	s.Order = drawOrder(t)
	return s
}

func drawOrder(t *rapid.T) enrollment.Order {
	return enrollment.Order{
		By:         rapid.SampledFrom([]enrollment.SortKey{"", enrollment.ByID, enrollment.ByCreated, enrollment.ByUpdated}).Draw(t, "by"),
		Descending: rapid.Bool().Draw(t, "descending"), Limit: rapid.IntRange(1, 9).Draw(t, "limit"),
	}
}

func drawRange(t *rapid.T, w *world, label string) enrollment.Range {
	var r enrollment.Range
	if rapid.IntRange(0, 4).Draw(t, label) == 0 {
		r.From = w.after(rapid.IntRange(0, 6).Draw(t, "from"))
	}
	if rapid.IntRange(0, 4).Draw(t, label) == 0 {
		r.Until = w.after(rapid.IntRange(5, 12).Draw(t, "until"))
	}
	return r
}

func inside(r enrollment.Range, at time.Time) bool {
	return !at.Before(r.From) && (r.Until.IsZero() || at.Before(r.Until))
}

func matchesID(id, want, prefix string) bool {
	folded := dps.FoldASCII(id)
	return (want == "" || folded == dps.FoldASCII(want)) && (want != "" || strings.HasPrefix(folded, dps.FoldASCII(prefix)))
}

func matches(s enrollment.Search, id string, m attestation.Mechanism, e *enrollment.Settings, tags bool) bool {
	names := slices.ContainsFunc(e.HubNames(), func(h string) bool { return dps.FoldASCII(h) == dps.FoldASCII(s.Hub) })
	_, signed := m.(attestation.X509CA)
	tag := s.Tag.Value
	tagged := !tags || len(s.Tag.Path) == 0 || e.InitialTwin != nil &&
		(strings.Contains(string(e.InitialTwin.Tags), `"`+s.Tag.Path[1]+`":"`+tag+`"`) || strings.Contains(string(e.InitialTwin.Tags), `"`+s.Tag.Path[1]+`": `+tag))
	return matchesID(id, s.ID, s.Prefix) && (s.Enabled == nil || *s.Enabled == e.Enabled) && (s.Kind == "" || s.Kind == m.Kind()) && (!s.BoundToCA || signed) &&
		(s.Lot == "" || s.Lot == e.Lot) && (s.Uploader == "" || s.Uploader == e.Uploader) && (s.Hub == "" || names) &&
		inside(s.Created, e.Created) && inside(s.Updated, e.Updated) && tagged
}

// sorted orders as a search does.
func sorted[T any](list []T, o enrollment.Order, key func(T) (id string, created, updated time.Time)) {
	slices.SortFunc(list, func(a, b T) int {
		aID, aCreated, aUpdated := key(a)
		bID, bCreated, bUpdated := key(b)
		n := strings.Compare(dps.FoldASCII(aID), dps.FoldASCII(bID))
		switch o.By {
		case enrollment.ByCreated:
			n = 2*aCreated.Compare(bCreated) + n
		case enrollment.ByUpdated:
			n = 2*aUpdated.Compare(bUpdated) + n
		case enrollment.ByID:
		}
		if o.Descending {
			return -n
		}
		return n
	})
}

// pages reads a list to its end.
func pages[T any](t *rapid.T, o enrollment.Order, read func(enrollment.Order) (enrollment.Found[T], error)) []T {
	all := []T{}
	for range 1000 {
		found, err := read(o)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Items) > o.Limit {
			t.Fatalf("a page of %d items, asked for %d", len(found.Items), o.Limit)
		}
		all = append(all, found.Items...)
		if found.Next == nil {
			return all
		}
		o.After = *found.Next
	}
	t.Fatal("the list does not end")
	return nil
}

// checkCount holds a count to the truth, which it may stay below when it says so.
func checkCount(t *rapid.T, c enrollment.Count, err error, want int) {
	switch {
	case err != nil:
		t.Fatal(err)
	case c.AtLeast && c.N > int64(want) || !c.AtLeast && c.N != int64(want):
		t.Fatalf("counted %+v of %d", c, want)
	}
}

func individualKey(e enrollment.Individual) (string, time.Time, time.Time) {
	return string(e.ID), e.Created, e.Updated
}

func searchIndividuals(w *world) {
	stored := []enrollment.Individual{}
	for n := range searched {
		stored = append(stored, w.putIndividual(searchedIndividual(w, n)))
	}
	for n := 0; n < searched; n += 3 { // updated later than created
		stored[n].Updated = w.after(12 - n%13)
		stored[n] = w.putIndividual(stored[n])
	}
	rapid.Check(w.T, func(t *rapid.T) {
		s := drawSearch(t, w)
		want, all := []enrollment.Individual{}, 0
		for _, e := range stored {
			if matches(s, string(e.ID), e.Mechanism, &e.Settings, true) {
				want = append(want, e)
			}
			if matches(s, string(e.ID), e.Mechanism, &e.Settings, false) {
				all++
			}
		}
		sorted(want, s.Order, individualKey)
		got := pages(t, s.Order, func(o enrollment.Order) (enrollment.Found[enrollment.Individual], error) {
			s.Order = o
			return w.enrollments().SearchIndividuals(w.ctx, zone, s)
		})
		differ(t, fmt.Sprintf("%+v", s), want, got)
		c, err := w.enrollments().CountIndividuals(w.ctx, zone, s)
		checkCount(t, c, err, all)
	})
}

func searchGroups(w *world) {
	stored := []enrollment.Group{}
	for n := range searched {
		g := keyGroup(w, searchedID(n), fmt.Sprintf("p%d", n))
		g.Settings = searchedSettings(w, n)
		if n%3 == 0 {
			g.Mechanism, g.IDPrefix = attestation.X509CA{PrimaryRef: fmt.Sprintf("ca-%d", n)}, ""
		}
		stored = append(stored, w.putGroup(g))
	}
	rapid.Check(w.T, func(t *rapid.T) {
		s := drawSearch(t, w)
		want, all := []enrollment.Group{}, 0
		for _, g := range stored {
			if matches(s, g.ID, g.Mechanism, &g.Settings, true) {
				want = append(want, g)
			}
			if matches(s, g.ID, g.Mechanism, &g.Settings, false) {
				all++
			}
		}
		sorted(want, s.Order, func(g enrollment.Group) (string, time.Time, time.Time) { return g.ID, g.Created, g.Updated })
		got := pages(t, s.Order, func(o enrollment.Order) (enrollment.Found[enrollment.Group], error) {
			s.Order = o
			return w.enrollments().SearchGroups(w.ctx, zone, s)
		})
		differ(t, fmt.Sprintf("%+v", s), want, got)
		c, err := w.enrollments().CountGroups(w.ctx, zone, s)
		checkCount(t, c, err, all)
	})
}

// searchedRecord registers a device in one of several ways.
func searchedRecord(w *world, n int) {
	s := w.start(dps.RegistrationID(searchedID(n)), "op1", pick(n, "Hub-1.example", "hub-2.example"))
	r := &s.Registration
	r.Created, r.Updated = w.after(n%5), w.after(n*7%13)
	if n%3 == 0 {
		r.Operation.Entry = enrollment.Ref{Group: pick(n, "Line-1", "line-2")}
	}
	switch n % 5 {
	case 0, 1: // assigning
		w.begin(s)
	case 2:
		r.Operation.Status, r.Operation.Hub, r.Operation.Want.DeviceID = registration.Failed, "", ""
		r.Operation.ErrorCode, r.Operation.ErrorMessage = 400209+n%2, `"errorCode":400777`
		w.begin(s)
	case 3:
		r.Operation.Status, r.Operation.Hub = registration.Disabled, ""
		w.begin(s)
	default:
		w.finish(w.begin(s).Registration, registration.Assigned)
	}
}

func searchRecords(w *world) {
	stored := []registration.Registration{}
	for n := range searched {
		searchedRecord(w, n)
		stored = append(stored, w.current(dps.RegistrationID(searchedID(n))))
	}
	rapid.Check(w.T, func(t *rapid.T) {
		base := drawSearch(t, w)
		s := registration.Search{
			Prefix: base.Prefix, ID: base.ID, Hub: base.Hub, Created: base.Created, Updated: base.Updated, Order: base.Order,
			Status:    registration.Status(rapid.SampledFrom([]string{"", "", "", "assigning", "assigned", "failed", "disabled"}).Draw(t, "status")),
			Group:     rapid.SampledFrom([]string{"", "", "", "line-1", "LINE-2"}).Draw(t, "group"),
			ErrorCode: rapid.SampledFrom([]int{0, 0, 0, 400209, 400777}).Draw(t, "code"),
		}
		want := []registration.Registration{}
		for _, r := range stored {
			if matchesRecord(s, r) {
				want = append(want, r)
			}
		}
		sorted(want, s.Order, func(r registration.Registration) (string, time.Time, time.Time) {
			return string(r.ID), r.Created, r.Updated
		})
		got := pages(t, s.Order, func(o enrollment.Order) (enrollment.Found[registration.Registration], error) {
			s.Order = o
			return w.registrations().Search(w.ctx, zone, s)
		})
		differ(t, fmt.Sprintf("%+v", s), want, got)
		c, err := w.registrations().Count(w.ctx, zone, s)
		checkCount(t, c, err, len(want))
	})
}

func matchesRecord(s registration.Search, r registration.Registration) bool {
	op := r.Operation
	return matchesID(string(r.ID), s.ID, s.Prefix) && (s.Status == "" || s.Status == op.Status) &&
		(s.Hub == "" || dps.FoldASCII(s.Hub) == dps.FoldASCII(r.Assignment.Hub)) &&
		(s.Group == "" || dps.FoldASCII(s.Group) == dps.FoldASCII(op.Entry.Group)) &&
		(s.ErrorCode == 0 || s.ErrorCode == op.ErrorCode) && inside(s.Created, r.Created) && inside(s.Updated, r.Updated)
}

func searchText(w *world) {
	for _, text := range []string{"\x00", "\xff"} {
		for _, s := range []enrollment.Search{{Lot: text}, {ID: text}, {Hub: text}, {Prefix: text}, {Uploader: text}} {
			s.Limit = 1
			_, err := w.enrollments().SearchIndividuals(w.ctx, zone, s)
			w.code(err, dps.InvalidArgument)
			_, err = w.enrollments().CountGroups(w.ctx, zone, s)
			w.code(err, dps.InvalidArgument)
		}
		_, err := w.registrations().Search(w.ctx, zone, registration.Search{Group: text, Order: enrollment.Order{Limit: 1}})
		w.code(err, dps.InvalidArgument)
		_, err = w.registrations().Refusals(w.ctx, zone, dps.RegistrationID(text), 1)
		w.code(err, dps.InvalidArgument)
	}
}

func searchMoves(w *world) {
	for n := range searched {
		w.putIndividual(searchedIndividual(w, n))
	}
	rapid.Check(w.T, func(t *rapid.T) {
		s := enrollment.Search{Kind: attestation.KindSymmetricKey, Order: drawOrder(t)}
		s.By = enrollment.ByID
		round, before := 0, []string{}
		all := pages(t, s.Order, func(o enrollment.Order) (enrollment.Found[enrollment.Individual], error) {
			round++
			if len(before) > 0 { // a write in front of the reader and one behind
				w.putIndividual(keyIndividual(w, dps.RegistrationID("aaa-new")))
				w.putIndividual(keyIndividual(w, dps.RegistrationID("zzz-new")))
			}
			before = append(before, "")
			s.Order = o
			return w.enrollments().SearchIndividuals(w.ctx, zone, s)
		})
		seen := map[string]bool{}
		for _, e := range all {
			if seen[e.ID.Fold()] {
				t.Fatalf("%s stands on two pages", e.ID)
			}
			seen[e.ID.Fold()] = true
		}
		for n := range searched {
			if e := searchedIndividual(w, n); e.Mechanism.Kind() == attestation.KindSymmetricKey && !seen[e.ID.Fold()] {
				t.Fatalf("%s is missing", e.ID)
			}
		}
		for _, id := range []dps.RegistrationID{"aaa-new", "zzz-new"} {
			_ = w.enrollments().DeleteIndividual(w.ctx, zone, id, enrollment.Precondition{})
		}
	})
}
