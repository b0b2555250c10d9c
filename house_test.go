package dps_test

import (
	"encoding/json"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/zerotouch-dps/dps"

// mayImport is the package map: what each package may import of this module, beside
// the root package and internal/. A package may also import its parent and what that
// one may import. Imports run downwards only.
func mayImport() map[string][]string {
	domain := []string{"attestation", "enrollment", "enrollment/rule", "event", "scope", "hub", "allocation", "allocation/latency", "registration"}
	return map[string][]string{
		"":                          {},
		"attestation":               {"attestation/revocation"},
		"attestation/revocation":    {},
		"hub":                       {},
		"hub/azureiot":              {"hub", "attestation"},
		"hub/memory":                {"hub"},
		"hub/hubtest":               {"hub"},
		"enrollment":                {"attestation"},
		"enrollment/rule":           {},
		"event":                     {"enrollment"},
		"event/delivery":            {"event"},
		"scope":                     {"attestation", "enrollment", "hub"},
		"allocation":                {"enrollment", "attestation", "hub"},
		"allocation/latency":        {"allocation", "hub", "scope"},
		"allocation/latency/geoip":  {"allocation/latency"},
		"allocation/webhook":        {"allocation", "enrollment", "scope"},
		"registration":              {"allocation", "allocation/latency", "enrollment", "enrollment/rule", "attestation", "attestation/revocation", "event", "hub", "scope"},
		"endpoint":                  {"registration", "attestation"},
		"endpoint/acceptor":         {"endpoint"},
		"endpoint/amqp":             {"endpoint", "endpoint/amqp/wire", "registration", "attestation"},
		"endpoint/amqp/wire":        {},
		"endpoint/endpointtest":     append([]string{"endpoint", "storage", "storage/sqlite", "hub/memory"}, domain...),
		"endpoint/mqtt":             {"endpoint", "endpoint/mqtt/wire", "registration", "attestation"},
		"endpoint/mqtt/wire":        {},
		"endpoint/rest":             {"endpoint", "registration", "attestation"},
		"endpoint/websocket":        {"endpoint"},
		"openapi":                   {},
		"openapi/admin":             {"openapi/service"},
		"openapi/docs":              {"openapi"},
		"openapi/service":           {},
		"management":                append([]string{"storage", "attestation/revocation"}, domain...),
		"management/identity":       append([]string{"management"}, domain...),
		"management/wire":           append([]string{"management", "openapi/service", "openapi"}, domain...),
		"management/lot":            append([]string{"management", "management/wire", "openapi/service"}, domain...),
		"management/serviceapi":     append([]string{"management", "management/wire", "storage", "openapi", "openapi/service"}, domain...),
		"management/adminapi":       append([]string{"management", "management/lot", "management/wire", "storage", "openapi", "openapi/admin", "openapi/service"}, domain...),
		"management/managementtest": append([]string{"allocation/webhook", "management", "management/wire", "management/adminapi", "management/serviceapi", "storage", "storage/sqlite", "hub/memory"}, domain...),
		"storage":                   domain,
		"storage/migrations":        {},
		"storage/query":             append([]string{"storage"}, domain...),
		"storage/postgres":          append([]string{"storage", "storage/query", "storage/migrations"}, domain...),
		"storage/sqlite":            append([]string{"storage", "storage/query", "storage/migrations"}, domain...),
		"storage/storagetest":       append([]string{"storage", "storage/query"}, domain...),
		"storage/storagetest/load":  append([]string{"storage", "storage/query", "storage/postgres", "storage/sqlite", "storage/migrations"}, domain...),
		"hubemulator":               {"hub", "attestation", "endpoint", "endpoint/mqtt/wire"},
		"ca":                        {},
		"client":                    {"openapi", "openapi/admin", "openapi/service", "attestation"},
		"client/device":             {"attestation"},
		"declare":                   {"client", "openapi/admin", "openapi/service", "attestation", "scope"},
		"declare/arm":               {},
		"declare/relocate":          {"client", "openapi/admin", "openapi/service"},
		"server":                    nil, // wires everything below
		"server/dev":                nil,
		"server/gendoc":             {},
		"cli":                       {"server", "server/dev", "client", "client/device", "declare", "declare/arm", "declare/relocate", "openapi", "openapi/admin", "openapi/service", "attestation", "ca", "storage"},
		"cmd/dps":                   {"cli"},
		"examples/ownership":        {},
		"examples/receiver":         {},
	}
}

type listed struct {
	Dir, ImportPath, Name string
	Imports               []string
	GoFiles               []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,Name,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
}

func inside(importPath string) (rel string, ok bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// TestImports holds the package map.
func TestImports(t *testing.T) {
	t.Parallel()
	rules := mayImport()
	for _, p := range packages(t) {
		rel, _ := inside(p.ImportPath)
		if strings.HasPrefix(rel, "internal/") || strings.HasPrefix(rel, "test/") {
			continue
		}
		allowed, known := rules[rel]
		if !known {
			t.Errorf("package %s is not in the map: say there what it may import", rel)
			continue
		}
		for _, i := range p.Imports {
			dep, ours := inside(i)
			if !ours || dep == "" || strings.HasPrefix(dep, "internal/") || allowed == nil && !strings.HasPrefix(dep, "cli") {
				continue
			}
			if dep != path.Dir(rel) && !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s, which the map does not allow", rel, dep)
			}
		}
	}
}

// TestPackageDocs: every package tells the newcomer what it is.
func TestPackageDocs(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if text := packageDoc(t, p); len(text) < 40 {
			t.Errorf("package %s has no doc comment to speak of: %q", p.ImportPath, text)
		}
	}
}

func packageDoc(t *testing.T, p listed) string {
	t.Helper()
	text := ""
	for _, f := range p.GoFiles {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Doc != nil {
			text += new(doc.Package).Synopsis(parsed.Doc.Text())
		}
	}
	return text
}

// TestMigrationsMatch: both dialects have the same migrations.
func TestMigrationsMatch(t *testing.T) {
	t.Parallel()
	names := func(dialect string) []string {
		files, err := filepath.Glob(filepath.Join("storage", "migrations", dialect, "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatalf("migrations of %s: %v, %v", dialect, files, err)
		}
		for i := range files {
			files[i] = filepath.Base(files[i])
		}
		return files
	}
	if pg, lite := names("postgres"), names("sqlite"); !slices.Equal(pg, lite) {
		t.Errorf("postgres has %v, sqlite has %v", pg, lite)
	}
}

// TestFileLength: a file over 500 lines is to be split by noun.
func TestFileLength(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, f := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), "\n"); n > 500 && !strings.Contains(f, ".gen.") {
				t.Errorf("%s/%s has %d lines", p.ImportPath, f, n)
			}
		}
	}
}

// TestOneErrorTable: the six digits of an error stand in one place.
func TestOneErrorTable(t *testing.T) {
	t.Parallel()
	digits := regexp.MustCompile(`\b[45]\d\d[0-9]{3}\b`)
	for _, p := range packages(t) {
		rel, _ := inside(p.ImportPath)
		if !slices.Contains([]string{"", "registration", "endpoint", "endpoint/rest", "management", "management/serviceapi"}, rel) {
			continue
		}
		for _, f := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "//")
				if digits.MatchString(code) {
					t.Errorf("%s/%s:%d writes an error code outside internal/apierror: %s", rel, f, n+1, strings.TrimSpace(line))
				}
			}
		}
	}
}
