package postgres_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps/storage/postgres"
)

// TestPlansOfEmptyTables holds that every lookup goes by index, and by the whole of
// its key, even when it was planned before there was a row: the plan is kept.
func TestPlansOfEmptyTables(t *testing.T) {
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
		for name, text := range postgres.Statements() {
			checkPlan(t, fmt.Sprintf("%s, analysed %v", name, analysed), plan(t, conn, name, text))
		}
		for name, text := range postgres.Lists() {
			checkPage(t, fmt.Sprintf("%s, analysed %v", name, analysed), plan(t, conn, name, text))
		}
	}
}

// checkPage holds that a page is read from one index, whole keys given and in its
// order: not by sorting, nor by leaving out rows of others.
func checkPage(t *testing.T, name string, lines []string) {
	t.Helper()
	text := strings.Join(lines, "\n")
	scan := regexp.MustCompile(`Index Scan using (\w+)`).FindStringSubmatch(text)
	if scan == nil || strings.Contains(text, "Sort") || strings.Contains(text, "Filter") || strings.Contains(text, "Bitmap") {
		t.Errorf("%s is not read in the order of an index:\n%s", name, text)
		return
	}
	if strings.Count(text, " = ") != pageColumns()[scan[1]] || strings.Count(text, " > ") != 1 {
		t.Errorf("%s does not give %s its whole key:\n%s", name, scan[1], text)
	}
}

// pageColumns is how many columns of its index a page's conditions fix.
func pageColumns() map[string]int {
	return map[string]int{"registration_by_group": 2, "individual_pkey": 1, "enrollment_group_pkey": 1}
}

// plan returns the generic plan of a statement.
func plan(t *testing.T, conn *pgx.Conn, name, text string) []string {
	t.Helper()
	parameter := regexp.MustCompile(`\$\d+`)
	nulls := make([]string, len(slices.Compact(slices.Sorted(slices.Values(parameter.FindAllString(text, -1))))))
	for i := range nulls {
		nulls[i] = "null"
	}
	if _, err := conn.Exec(t.Context(), "prepare "+name+" as "+text); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	rows, err := conn.Query(t.Context(), "explain execute "+name+"("+strings.Join(nulls, ", ")+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return lines
}

// keyColumns is how many columns of its index each scan must be given.
func keyColumns() map[string]int {
	return map[string]int{
		"registration_pkey": 2, "hub_claim_pkey": 2, "removal_pkey": 2, "group_anchor_pkey": 2, "blocked_leaf_pkey": 2,
		"individual_pkey": 2, "scope_pkey": 1, "hub_load_pkey": 2,
	}
}

func checkPlan(t *testing.T, name string, lines []string) {
	t.Helper()
	scan := regexp.MustCompile(`Index (?:Only )?Scan using (\w+)`)
	for i, line := range lines {
		if strings.Contains(line, "Seq Scan") || strings.Contains(line, "Bitmap") {
			t.Errorf("%s scans a table:\n%s", name, strings.Join(lines, "\n"))
			return
		}
		match := scan.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		if i+1 == len(lines) || strings.Count(lines[i+1], " = ") != keyColumns()[match[1]] || !strings.Contains(lines[i+1], "Index Cond") {
			t.Errorf("%s does not give %s its whole key:\n%s", name, match[1], strings.Join(lines, "\n"))
			return
		}
	}
}
