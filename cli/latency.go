package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type latencyCmd struct {
	List  latencyListCmd  `cmd:"" help:"List what is known by devices' votes and the matrix together."`
	Clear latencyClearCmd `cmd:"" help:"Forget what devices have measured; the matrix stays."`
	Show  latencyShowCmd  `cmd:"" name:"matrix" help:"Write the matrix of latencies that were measured by hand, as CSV."`
	Load  latencyLoadCmd  `cmd:"" help:"Replace that matrix by a file, CSV or JSON."`
}

func latencyColumns() []column[admin.Latency] {
	return []column[admin.Latency]{
		{"AREA", func(l admin.Latency) string { return l.Area }},
		{"HUB", func(l admin.Latency) string { return l.Hub }},
		{"MS", func(l admin.Latency) string { return number(l.Milliseconds) }},
		{"VOTES", func(l admin.Latency) string { return strconv.Itoa(l.Votes) }},
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

type latencyListCmd struct {
	Area string `arg:"" optional:"" help:"Only this area and those within it, such as geo/DE or site/plant."`
	scopeFlags
}

// Run lists.
func (c latencyListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Latencies(ctx, scope, c.Area)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, latencyColumns())
}

type latencyClearCmd struct {
	Area string `arg:"" optional:"" help:"Only this area and those within it."`
	scopeFlags
}

// Run clears.
func (c latencyClearCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	n, err := a.ClearLatencies(ctx, scope, c.Area)
	if err != nil {
		return err
	}
	say(env.Stderr, "%d votes are forgotten; every replica knows within half a minute.", n)
	return nil
}

type latencyShowCmd struct{ scopeFlags }

// Run writes the matrix.
func (c latencyShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	rows, err := a.LatencyMatrix(ctx, scope)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env, rows)
	}
	w := csv.NewWriter(env.Stdout)
	_ = w.Write(matrixHeader()) // Flush keeps the error
	for _, m := range rows {
		_ = w.Write([]string{m.Area, m.Hub, number(m.Milliseconds)})
	}
	w.Flush()
	return w.Error()
}

func matrixHeader() []string { return []string{"area", "hub", "milliseconds"} }

type latencyLoadCmd struct {
	File string `arg:"" help:"CSV with the columns area, hub and milliseconds, or a JSON list as \"dps latency matrix -o json\" prints it; - reads standard input."`
	scopeFlags
}

// Help shows how.
func (latencyLoadCmd) Help() string {
	return "An area is site/NAME, geo/COUNTRY, geo/COUNTRY/SUBDIVISION, each with /AS12345 if need be.\nExample:\n  printf 'area,hub,milliseconds\\nsite/plant 7,hub1.example,12.5\\n' | dps latency load -"
}

// Run replaces the matrix.
func (c latencyLoadCmd) Run(ctx context.Context, env *Env) error {
	rows, err := readTable(env, c.File, matrixHeader(), matrixRow)
	if err != nil {
		return err
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	stored, err := a.PutLatencyMatrix(ctx, scope, rows)
	if err != nil {
		return err
	}
	say(env.Stderr, "The matrix has %d rows; every replica knows within half a minute.", len(stored))
	return nil
}

func matrixRow(get func(string) string) (admin.LatencyMeasure, error) {
	ms, err := strconv.ParseFloat(get("milliseconds"), 64)
	if err != nil {
		return admin.LatencyMeasure{}, fmt.Errorf("milliseconds: want a number, not %q", get("milliseconds"))
	}
	return admin.LatencyMeasure{Area: get("area"), Hub: get("hub"), Milliseconds: ms}, nil
}

func locationOf(e admin.Explanation) string {
	if e.Latency == nil {
		return ""
	}
	return strings.TrimSpace("by " + e.Latency.Source + " " + show(e.Latency.Area))
}

// latenciesOf is a line for each estimate.
func latenciesOf(e admin.Explanation) string {
	if e.Latency == nil {
		return ""
	}
	lines := make([]string, 0, len(e.Latency.Hubs))
	for _, h := range e.Latency.Hubs {
		line := fmt.Sprintf("%s %s ms", h.HostName, number(h.Milliseconds))
		if h.Prior != nil {
			line += fmt.Sprintf(", by distance %s", number(*h.Prior))
		}
		if h.Measured != nil {
			line += fmt.Sprintf(", measured %s (%s votes)", number(*h.Measured), show(h.Votes))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func geoipColumns() []column[admin.GeoipDatabase] {
	return []column[admin.GeoipDatabase]{
		{"GEOIP DATABASE", func(d admin.GeoipDatabase) string { return d.Path }},
		{"TYPE", func(d admin.GeoipDatabase) string { return show(d.Type) }},
		{"BUILT", func(d admin.GeoipDatabase) string { return day(d.Built) }},
		{"LAST ERROR", func(d admin.GeoipDatabase) string { return show(d.LastError) }},
	}
}
