package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/query"
)

// recorder keeps the texts of statements and finds nothing.
type recorder struct{ texts map[string]bool }

func (r *recorder) Read(_ context.Context, f func(query.Tx) error) error  { return f(r) }
func (r *recorder) Write(_ context.Context, f func(query.Tx) error) error { return f(r) }

func (r *recorder) Exec(context.Context, string, ...any) (int64, error) { return 0, nil }

func (r *recorder) ExecMany(_ context.Context, _ string, rows [][]any) ([]int64, error) {
	return make([]int64, len(rows)), nil
}

func (r *recorder) Query(_ context.Context, text string, _ []any, _ func(query.ScanFunc) error) error {
	r.texts[text] = true
	return nil
}

// orders are every way to read a list.
func orders(search func(enrollment.Order)) {
	for _, by := range []enrollment.SortKey{enrollment.ByID, enrollment.ByCreated, enrollment.ByUpdated} {
		for _, descending := range []bool{false, true} {
			search(enrollment.Order{By: by, Descending: descending, After: enrollment.Cursor{Key: "k"}, Limit: 10})
		}
	}
}

// searchTexts are the statements of searches by each filter.
func searchTexts(t *testing.T) map[string]bool {
	t.Helper()
	r := &recorder{texts: map[string]bool{}}
	d := postgres.Dialect()
	entries := &query.Enrollments{DB: r, Dialect: d}
	records := &query.Registrations{DB: r, Dialect: d}
	disabled, ctx, scope := false, t.Context(), dps.IDScope("s")
	for _, s := range []enrollment.Search{
		{},
		{Prefix: "p"},
		{ID: "i"},
		{Enabled: &disabled},
		{Kind: attestation.KindTPM},
		{BoundToCA: true},
		{Lot: "l"},
		{Uploader: "u"},
		{Hub: "h"},
		{Hub: "h", Lot: "l"},
		{Lot: "l", Enabled: &disabled},
		{Enabled: &disabled, Kind: attestation.KindTPM},
	} {
		orders(func(o enrollment.Order) {
			s.Order = o
			_, _ = entries.SearchIndividuals(ctx, scope, s)
			_, _ = entries.CountIndividuals(ctx, scope, s)
			_, _ = entries.SearchGroups(ctx, scope, s)
		})
	}
	for _, s := range []registration.Search{
		{},
		{Prefix: "p"},
		{Status: registration.Failed},
		{Status: registration.Assigned},
		{Group: "g"},
		{Hub: "h"},
		{ErrorCode: 400209},
		{Group: "g", Status: registration.Failed},
		{Status: registration.Failed, ErrorCode: 400209},
	} {
		orders(func(o enrollment.Order) {
			s.Order = o
			_, _ = records.Search(ctx, scope, s)
			_, _ = records.Count(ctx, scope, s)
		})
	}
	return r.texts
}

// TestPlansOfSearches holds that every search goes along one index from where it begins
// to where it ends, and sorts nothing: so a page costs the same wherever it stands.
func TestPlansOfSearches(t *testing.T) {
	t.Parallel()
	url := cluster.Database(t)
	for _, analysed := range []bool{false, true} {
		cfg, err := postgres.ConnConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		if analysed {
			if _, err := conn.Exec(t.Context(), "vacuum analyze"); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for text := range searchTexts(t) {
			n++
			checkSearch(t, text, plan(t, conn, fmt.Sprintf("search_%d", n), text))
		}
	}
}

func checkSearch(t *testing.T, text string, lines []string) {
	t.Helper()
	all := strings.Join(lines, "\n")
	for _, bad := range []string{"Seq Scan", "Bitmap", "Sort", "hashed", "Join Filter"} {
		if strings.Contains(all, bad) {
			t.Errorf("%s\nhas a plan with %s:\n%s", text, bad, all)
			return
		}
	}
	if !regexp.MustCompile(`Index Cond: .*scope_key = \(?\$1.* >= .* < `).MatchString(all) {
		t.Errorf("%s\nis not bounded by its index:\n%s", text, all)
	}
	at := regexp.MustCompile(`order by t\.(created|updated)`).FindStringSubmatch(text)
	if at != nil && !strings.Contains(all, "_by_"+at[1]) {
		t.Errorf("%s\ndoes not go by the time's index:\n%s", text, all)
	}
}
