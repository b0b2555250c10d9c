package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
)

// report prints rows of one benchmark in columns.
type report struct{ table *tabwriter.Writer }

func newReport(out io.Writer) *report {
	return &report{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
}

func (r *report) flush() error { return r.table.Flush() }

// figure prints what has no bar.
func (r *report) figure(name, text string) { r.row(name, text, "", "", "") }

// ratio prints a ratio without a bar.
func (r *report) ratio(name string, values []float64, beside string) {
	r.row(name, beside, times(median(values)), "("+spread(values)+")", "")
}

// atMost prints a ratio and whether its median is within a bar.
func (r *report) atMost(name string, values []float64, bar float64, beside string) {
	got := median(values)
	r.row(name, beside, times(got), "("+spread(values)+")", fmt.Sprintf("bar at most %s: %s", times(bar), mark(got <= bar)))
}

// atLeast prints a ratio and whether its median reaches a bar.
func (r *report) atLeast(name string, values []float64, bar float64, beside string) {
	got := median(values)
	r.row(name, beside, times(got), "("+spread(values)+")", fmt.Sprintf("bar at least %s: %s", times(bar), mark(got >= bar)))
}

// limit prints a figure with a unit, and whether it is within a bar.
func (r *report) limit(name string, got, bar float64, unit string) {
	r.row(name, fmt.Sprintf("%.2f %s", got, unit), "", "", fmt.Sprintf("bar at most %g %s: %s", bar, unit, mark(got <= bar)))
}

func (r *report) row(cells ...string) {
	if strings.Contains(cells[1], "NaN") { // a variant that was left out
		return
	}
	_, _ = fmt.Fprintln(r.table, "  "+strings.Join(cells, "\t")) // flush tells of errors
}

func times(v float64) string { return fmt.Sprintf("%.2f x", v) }

func mark(held bool) string {
	if held {
		return "held"
	}
	return "MISSED"
}

// machine describes where it ran: bars are ratios, but readers want to know.
func machine() string {
	model := "processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg") // of interest only if it can be read
	return fmt.Sprintf("%d cores (%s), %s, load before: %.14s", runtime.NumCPU(), model, runtime.Version(), load)
}
