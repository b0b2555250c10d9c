package server_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"github.com/zerotouch-dps/dps/server"
)

// TestMigrateTellsOfANewerSchema: a release that is too old for its store says so, asked
// for the status, too.
func TestMigrateTellsOfANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	c := server.Config{Store: "sqlite:" + path}
	if text := need(server.Migrate(t.Context(), c, true))(t); strings.Contains(text, "dps migrate") {
		t.Fatalf("migrated, it says %q", text)
	}
	db := need(sql.Open("sqlite", path))(t)
	need(db.ExecContext(t.Context(), "insert into schema_version (version_id, is_applied) values (9999, true)"))(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if text := need(server.Migrate(t.Context(), c, false))(t); !strings.Contains(text, "newer than this release") {
		t.Errorf("of a newer schema it says %q", text)
	}
	if _, err := server.Migrate(t.Context(), c, true); err == nil || !strings.Contains(err.Error(), "start a newer dps") {
		t.Errorf("it migrates a newer schema: %v", err)
	}
}
