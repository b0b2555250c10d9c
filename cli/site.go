package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type siteCmd struct {
	List   siteListCmd   `cmd:"" help:"List the sites."`
	Export siteExportCmd `cmd:"" help:"Write the table as CSV."`
	Set    siteSetCmd    `cmd:"" help:"Replace the table by a file, CSV or JSON; it counts from the next registration on."`
}

func siteHeader() []string { return []string{"network", "name", "location", "hubs", "residency"} }

func siteCells(s admin.Site) []string {
	hubs := ""
	if s.Hubs != nil {
		hubs = strings.Join(*s.Hubs, " ")
	}
	return []string{s.Network, s.Name, show(s.Location), hubs, show(s.Residency)}
}

type siteListCmd struct{ scopeFlags }

// Run lists.
func (c siteListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	t, err := a.Sites(ctx, scope)
	if err != nil {
		return err
	}
	var columns []column[admin.Site]
	for i, name := range siteHeader() {
		columns = append(columns, column[admin.Site]{strings.ToUpper(name), func(s admin.Site) string { return siteCells(s)[i] }})
	}
	return printList(env, c.Output, t.Value, columns)
}

type siteExportCmd struct{ scopeFlags }

// Run writes CSV.
func (c siteExportCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	t, err := a.Sites(ctx, scope)
	if err != nil {
		return err
	}
	w := csv.NewWriter(env.Stdout)
	_ = w.Write(siteHeader()) // Flush keeps the error
	for _, s := range t.Value {
		_ = w.Write(siteCells(s))
	}
	w.Flush()
	return w.Error()
}

type siteSetCmd struct {
	File    string `arg:"" help:"CSV with the columns network, name, location, hubs (parted by blanks) and residency, of which the last three may be left out, or a JSON list as \"dps site list -o json\" prints it; - reads standard input."`
	IfMatch string `placeholder:"ETAG" help:"Fail unless the table still has this etag."`
	scopeFlags
}

// Help shows how.
func (siteSetCmd) Help() string {
	return `Example:
  dps site set - <<END
  network,name,location,hubs,residency
  10.1.0.0/16,plant 1,"53.5,10.0",,
  10.2.0.0/16,plant 2,westeurope,hub2.example hub1.example,eu
  END`
}

// Run replaces.
func (c siteSetCmd) Run(ctx context.Context, env *Env) error {
	sites, err := readTable(env, c.File, siteHeader(), siteRow)
	if err != nil {
		return err
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	stored, err := a.PutSites(ctx, scope, sites, client.IfMatch(c.IfMatch))
	if err != nil {
		return err
	}
	say(env.Stderr, "The table has %d sites.", len(stored))
	return nil
}

func siteRow(get func(string) string) (admin.Site, error) {
	s := admin.Site{Network: get("network"), Name: get("name")}
	if text := get("location"); text != "" {
		s.Location = &text
	}
	if hubs := strings.Fields(get("hubs")); len(hubs) > 0 {
		s.Hubs = &hubs
	}
	if text := get("residency"); text != "" {
		s.Residency = &text
	}
	return s, nil
}

// maxTable bounds a file, in bytes: what the server takes.
const maxTable = 4 << 20

// readTable reads a JSON list, or CSV whose first line names columns.
func readTable[T any](env *Env, file string, columns []string, row func(get func(string) string) (T, error)) ([]T, error) {
	text, err := readBounded(env, file, maxTable)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // a byte order mark
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		out := []T{}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&out); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		return out, nil
	}
	return readCSV(file, text, columns, row)
}

func readCSV[T any](file string, text []byte, columns []string, row func(get func(string) string) (T, error)) ([]T, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("read %s: no line that names the columns: %w", file, err)
	}
	for _, name := range header {
		if !slices.Contains(columns, name) {
			return nil, fmt.Errorf("read %s: unknown column %q; the columns are %s", file, name, strings.Join(columns, ", "))
		}
	}
	out := []T{}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		one, err := row(func(name string) string {
			if i := slices.Index(header, name); i >= 0 {
				return strings.TrimSpace(cells[i])
			}
			return ""
		})
		if err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("read %s, line %d: %w", file, line, err)
		}
		out = append(out, one)
	}
}

// readBounded reads a file, or standard input for -.
func readBounded(env *Env, file string, limit int64) ([]byte, error) {
	from := env.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", file, limit)
	}
	return text, nil
}

// fields parts a text; an empty one has none.
func fields(text, by string) []string {
	out := []string{}
	for part := range strings.SplitSeq(text, by) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
