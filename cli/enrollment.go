package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/zerotouch-dps/dps/client"
)

type enrollmentCmd struct {
	Import enrollmentImportCmd `cmd:"" help:"Import a file of individual enrollments, NDJSON or CSV, of any length."`
	Export enrollmentExportCmd `cmd:"" help:"Export the individual enrollments, as a file that can be imported."`
}

type enrollmentExportCmd struct {
	File     string `arg:"" optional:"" default:"-" help:"File to write; - is standard output."`
	Format   string `enum:"auto,ndjson,csv" default:"auto" help:"ndjson or csv. Default: by the file's name, else ndjson."`
	Lot      string `help:"Only those of this lot."`
	After    string `placeholder:"ID" help:"Only those whose ID comes after this one."`
	WithKeys bool   `help:"Show symmetric keys. Leaves an audit record."`
	scopeFlags
}

// Help shows how.
func (enrollmentExportCmd) Help() string {
	return "Example:\n  dps enrollment export all.ndjson\n  dps enrollment export --lot 2026-47 --with-keys lot.csv"
}

// Run exports. A file appears under its name once it is whole.
func (c enrollmentExportCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	o := client.ExportOptions{CSV: isCSV(c.Format, c.File), Lot: c.Lot, After: c.After, WithKeys: c.WithKeys}
	if c.File == "-" {
		return a.ExportEnrollments(ctx, scope, env.Stdout, o)
	}
	part := c.File + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = a.ExportEnrollments(ctx, scope, f, o)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%w; what came before is in %s", err, part)
	}
	return os.Rename(part, c.File)
}

// isCSV tells a file's format by the flag, or by its name.
func isCSV(format, name string) bool {
	if format != "auto" {
		return format == "csv"
	}
	return strings.HasSuffix(strings.TrimSuffix(strings.ToLower(name), ".gz"), ".csv")
}
