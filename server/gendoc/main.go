// Command gendoc writes docs/configuration.md from the doc comments of server.Config,
// so that the page and the code can't differ.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: gendoc PAGE.MD SOURCE.GO...")
		os.Exit(2)
	}
	page, err := document(os.Args[2:])
	if err == nil {
		err = os.WriteFile(os.Args[1], page, 0o644) //nolint:gosec // a public page
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}

func document(sources []string) ([]byte, error) {
	structs := map[string]*ast.StructType{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", source, err)
		}
		collect(file, structs)
	}
	var b bytes.Buffer
	b.WriteString("# Configuration of dps serve\n\nGenerated from `server.Config` by `make generate`; don't edit.\n\n" +
		"One YAML file, given with `--config`; `DPS_*` variables override it. Unknown keys are errors, and\n" +
		"`dps serve --check` reports every fault at once. Durations are texts such as `30s`.\n" +
		"[packaging/dps.yaml](../packaging/dps.yaml) is one to start from.\n\n| Key | Meaning |\n|---|---|\n")
	rows(&b, structs, "Config", "")
	return b.Bytes(), nil
}

func collect(file *ast.File, structs map[string]*ast.StructType) {
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = s
			}
		}
		return true
	})
}

// rows writes a row per field, those of nested structs under a dotted key.
func rows(b *bytes.Buffer, structs map[string]*ast.StructType, name, prefix string) {
	for _, f := range structs[name].Fields.List {
		key := prefix + reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("koanf")
		kind, list := typeName(f.Type)
		if list {
			key += "[]"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", key, strings.Join(strings.Fields(f.Doc.Text()), " "))
		if structs[kind] != nil {
			rows(b, structs, kind, key+".")
		}
	}
}

func typeName(e ast.Expr) (name string, list bool) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, false
	case *ast.ArrayType:
		name, _ = typeName(e.Elt)
		return name, true
	}
	return "", false
}
