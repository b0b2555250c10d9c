package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// column is one column of a table of T, and one line of a single T.
type column[T any] struct {
	title string
	cell  func(T) string
}

// printList writes a list as the output flag says: JSON as the API gave it, or a table.
func printList[T any](env *Env, output string, list []T, columns []column[T]) error {
	if output == "json" {
		return printJSON(env, list)
	}
	t := newTable(env)
	header := make(table.Row, 0, len(columns))
	for _, c := range columns {
		header = append(header, c.title)
	}
	t.AppendHeader(header)
	for _, one := range list {
		row := make(table.Row, 0, len(columns))
		for _, c := range columns {
			row = append(row, c.cell(one))
		}
		t.AppendRow(row)
	}
	t.Render()
	return nil
}

// printOne writes one record: JSON as the API gave it, or a line per column.
func printOne[T any](env *Env, output string, one T, columns []column[T]) error {
	if output == "json" {
		return printJSON(env, one)
	}
	t := newTable(env)
	for _, c := range columns {
		if cell := c.cell(one); cell != "" {
			t.AppendRow(table.Row{c.title, cell})
		}
	}
	t.Render()
	return nil
}

func newTable(env *Env) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(env.Stdout)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	return t
}

func printJSON(env *Env, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	say(env.Stdout, "%s", text)
	return nil
}

// show writes what a pointer points to; nothing for nil.
func show[T any](p *T) string {
	if p == nil {
		return ""
	}
	return fmt.Sprint(*p)
}

func joined(p *[]string) string {
	if p == nil {
		return ""
	}
	return strings.Join(*p, ", ")
}

// day shortens a time of the API to its date.
func day(p *string) string {
	text, _, _ := strings.Cut(show(p), "T")
	return text
}
