package storagetest

import (
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

func groupCases() []testCase {
	return []testCase{
		{"every mechanism is returned as it was put", groupMechanisms},
		{"are counted by kind, up to a limit", groupCount},
		{"preconditions and spelling", groupPreconditions},
		{"one group per certificate and CA name", groupExclusive},
		{"a deleted or changed group frees its certificate", groupFreed},
		{"pages by folded ID", groupPages},
		{"at most a hundred key groups without prefix", groupQuota},
	}
}

func (w *world) group(id string) enrollment.Group {
	w.Helper()
	return must(w, func() (enrollment.Group, error) { return w.enrollments().Group(w.ctx, zone, id) })
}

func groupMechanisms(w *world) {
	mechanisms := []attestation.Mechanism{
		attestation.GroupKey{Primary: dps.NewSecret("cA=="), Secondary: dps.NewSecret("cw==")},
		attestation.X509CA{Primary: certificate(w, "one")},
		attestation.X509CA{Primary: certificate(w, "two"), Secondary: certificate(w, "three")},
		attestation.X509CA{PrimaryRef: "Root", SecondaryRef: "Next"},
		attestation.GroupTPM{PrimaryRef: "TPM-Root", SecondaryRef: "TPM-Next"},
	}
	for i, m := range mechanisms {
		g := enrollment.Group{ID: fmt.Sprintf("Lot-%d", i), Mechanism: m, Settings: settings(w)}
		if i == 0 {
			g.IDPrefix = "SN-"
		}
		put := w.putGroup(g)
		g.ETag, g.Created = put.ETag, w.now
		w.same(g, put)
		w.same(g, w.group(strings.ToUpper(g.ID)))
	}
}

func groupCount(w *world) {
	count := func(byKey bool, limit int) int {
		return must(w, func() (int, error) { return w.enrollments().CountGroupsByProof(w.ctx, zone, byKey, limit) })
	}
	for i := range 3 {
		w.putGroup(keyGroup(w, fmt.Sprintf("key-%d", i), fmt.Sprintf("p%d-", i)))
	}
	w.putGroup(enrollment.Group{ID: "x509", Mechanism: attestation.X509CA{PrimaryRef: "Root"}, Settings: settings(w)})
	w.same([]int{3, 1, 2}, []int{count(true, 10), count(false, 10), count(true, 2)})
}

func groupPreconditions(w *world) {
	put := func(id string, p enrollment.Precondition) (enrollment.Group, error) {
		return w.enrollments().PutGroup(w.ctx, zone, keyGroup(w, id, ""), p)
	}
	_, err := put("Lot", enrollment.Precondition{IfMatch: "*"})
	w.code(err, dps.PreconditionFailed)
	first := must(w, func() (enrollment.Group, error) { return put("Lot", enrollment.Precondition{Absent: true}) })
	_, err = put("LOT", enrollment.Precondition{Absent: true})
	w.code(err, dps.GroupExists)
	second := must(w, func() (enrollment.Group, error) {
		return put("LOT", enrollment.Precondition{IfMatch: string(first.ETag)})
	})
	w.same("Lot", second.ID)
	w.code(w.enrollments().DeleteGroup(w.ctx, zone, "lot", enrollment.Precondition{IfMatch: string(first.ETag)}), dps.PreconditionFailed)
	w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "lot", enrollment.Precondition{}))
	w.code(w.enrollments().DeleteGroup(w.ctx, zone, "lot", enrollment.Precondition{}), dps.GroupNotFound)
	_, err = w.enrollments().Group(w.ctx, zone, "lot")
	w.code(err, dps.GroupNotFound)
}

func groupExclusive(w *world) {
	shared := certificate(w, "shared")
	w.putGroup(enrollment.Group{ID: "First", Mechanism: attestation.X509CA{Primary: shared}, Settings: settings(w)})
	w.putGroup(enrollment.Group{ID: "Named", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: settings(w)})
	clashes := map[string]attestation.X509CA{
		"First": {Primary: certificate(w, "other"), Secondary: shared},
		"Named": {PrimaryRef: "ROOT"},
	}
	for owner, m := range clashes {
		_, err := w.enrollments().PutGroup(w.ctx, zone, enrollment.Group{ID: "Second", Mechanism: m, Settings: settings(w)}, enrollment.Precondition{})
		w.code(err, dps.AlreadyExists)
		if !strings.Contains(err.Error(), owner) {
			w.Errorf("error %q does not name group %q", err, owner)
		}
		_, err = w.enrollments().Group(w.ctx, zone, "second")
		w.code(err, dps.GroupNotFound)
	}
	w.makeScope("0neOTHER")
	_, err := w.enrollments().PutGroup(w.ctx, "0neOTHER", enrollment.Group{ID: "Second", Mechanism: clashes["Named"], Settings: settings(w)}, enrollment.Precondition{})
	w.ok(err)
}

func groupFreed(w *world) {
	group := func(id, ref string) enrollment.Group {
		return enrollment.Group{ID: id, Mechanism: attestation.X509CA{PrimaryRef: ref}, Settings: settings(w)}
	}
	w.putGroup(group("a", "root"))
	w.putGroup(group("a", "next"))
	w.putGroup(group("b", "root"))
	w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "a", enrollment.Precondition{}))
	w.putGroup(group("c", "next"))
}

func groupQuota(w *world) {
	for i := range enrollment.MaxUnprefixedKeyGroups {
		w.putGroup(keyGroup(w, fmt.Sprintf("g-%d", i), ""))
	}
	_, err := w.enrollments().PutGroup(w.ctx, zone, keyGroup(w, "one-more", ""), enrollment.Precondition{})
	w.code(err, dps.QuotaReached)
	w.putGroup(keyGroup(w, "G-7", ""))          // replacing is no addition
	w.putGroup(keyGroup(w, "one-more", "pre-")) // nor is one with a prefix
	w.putGroup(keyGroup(w, "g-7", "x"))
	w.putGroup(keyGroup(w, "now-there-is-room", ""))
}

func groupPages(w *world) {
	ids := []string{"a", "B", "b-1", "C"}
	var all []enrollment.Group
	for _, i := range []int{3, 0, 2, 1} {
		w.putGroup(keyGroup(w, ids[i], "SN-"))
	}
	for _, id := range ids {
		all = append(all, w.group(id))
	}
	w.makeScope("0neOTHER")
	_, err := w.enrollments().PutGroup(w.ctx, "0neOTHER", keyGroup(w, "b", ""), enrollment.Precondition{})
	w.ok(err)
	page := func(after string, limit int) []enrollment.Group {
		return must(w, func() ([]enrollment.Group, error) {
			return w.enrollments().Groups(w.ctx, zone, enrollment.Page{After: after, Limit: limit})
		})
	}
	w.same(all, page("", 5))
	w.same(all[2:3], page("b", 1))
	w.same(all[3:], page("b-1", 9))
	w.same(0, len(page("c", 1)))
}
