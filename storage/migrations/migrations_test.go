package migrations_test

import (
	"database/sql"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the driver

	"github.com/zerotouch-dps/dps/storage/migrations"
)

func TestDialectsHaveTheSameNumbers(t *testing.T) {
	t.Parallel()
	names := map[string][]string{}
	for _, dialect := range []string{"postgres", "sqlite"} {
		files, err := migrations.Versions(dialect)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names[dialect] = append(names[dialect], path.Base(f))
		}
	}
	if diff := cmp.Diff(names["postgres"], names["sqlite"]); diff != "" {
		t.Errorf("mismatch (-postgres +sqlite):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	before, err := migrations.SQLiteStatus(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if before.Current != 0 || len(before.Pending()) != len(before.Migrations) || before.Check() == nil {
		t.Errorf("of an empty database: %+v, check %v", before, before.Check())
	}
	for range 2 { // the second time there is nothing to do
		if err := migrations.SQLite(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	after, err := migrations.SQLiteStatus(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if after.Current != after.Latest || len(after.Pending()) > 0 || after.Check() != nil {
		t.Errorf("of a migrated database: %+v, check %v", after, after.Check())
	}
}
