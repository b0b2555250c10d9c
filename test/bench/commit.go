package main

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// metrics are the figures of one Go benchmark by unit.
type metrics map[string]float64

// measureCommit measures bars 3 and 4 with the stores' own Go benchmarks, which run group
// commit and one commit each in turn: a pair is Begin and Finish of one device.
func measureCommit(ctx context.Context, l *lab) error {
	rounds := make([]map[string]metrics, 0, l.rounds)
	for range l.rounds {
		round := map[string]metrics{}
		for store, waiting := range map[string]string{"postgres": "(1|128)", "sqlite": "(1|32)"} {
			got, err := l.pairs(ctx, store, waiting)
			if err != nil {
				return err
			}
			for name, m := range got {
				round[store+"/"+name] = m
			}
		}
		rounds = append(rounds, round)
	}
	of := func(name, unit string) (out []float64) {
		for _, round := range rounds {
			out = append(out, round[name][unit])
		}
		return out
	}
	r := newReport(l.out)
	for _, c := range []struct {
		name, store, waiting, unit string
		bar                        float64
		atLeast                    bool
	}{
		{"Postgres, 128 waiting: pairs a second", "postgres", "128", "calls/s", 3, true},
		{"Postgres, idle: p50 of a pair", "postgres", "1", "p50-µs", 1.1, false},
		{"SQLite, 32 waiting: pairs a second", "sqlite", "32", "calls/s", 5, true},
		{"SQLite, idle: p50 of a pair", "sqlite", "1", "p50-µs", 1.1, false},
	} {
		group, each := of(c.store+"/group/waiting="+c.waiting, c.unit), of(c.store+"/each/waiting="+c.waiting, c.unit)
		beside := fmt.Sprintf("%.0f against %.0f %s", median(group), median(each), c.unit)
		if c.atLeast {
			r.atLeast(c.name, ratios(group, each), c.bar, beside)
		} else {
			r.atMost(c.name, ratios(group, each), c.bar, beside)
		}
	}
	return r.flush()
}

func (l *lab) pairs(ctx context.Context, store, waiting string) (map[string]metrics, error) {
	length := "2s"
	if l.quick {
		length = "500ms"
	}
	command := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-benchtime", length,
		"-bench", "BenchmarkPairs/(group|each)/waiting="+waiting+"$", "./storage/"+store)
	text, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmark of storage/%s: %w\n%s", store, err, text)
	}
	got := parseBenchmarks(string(text), "BenchmarkPairs/")
	if len(got) != 4 {
		return nil, fmt.Errorf("benchmark of storage/%s: found %v in\n%s", store, slices.Sorted(maps.Keys(got)), text)
	}
	return got, nil
}

// parseBenchmarks reads what go test prints of the benchmarks whose name begins so.
func parseBenchmarks(text, prefix string) map[string]metrics {
	out := map[string]metrics{}
	eachBenchmark(text, prefix, func(name string, m metrics) { out[name] = m })
	return out
}

// parseRounds reads the times of benchmarks that ran several times, in ns.
func parseRounds(text, prefix string) map[string][]float64 {
	out := map[string][]float64{}
	eachBenchmark(text, prefix, func(name string, m metrics) { out[name] = append(out[name], m["ns/op"]) })
	return out
}

func eachBenchmark(text, prefix string, take func(name string, m metrics)) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], prefix) {
			continue
		}
		name := strings.TrimPrefix(fields[0], prefix)
		if cut := strings.LastIndexByte(name, '-'); cut > 0 { // the number of processors
			name = name[:cut]
		}
		m := metrics{}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				m[fields[i+1]] = v
			}
		}
		take(name, m)
	}
}
