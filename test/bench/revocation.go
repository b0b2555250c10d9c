package main

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
)

// measureRevocation measures a revocation list of a million entries with the package's
// own Go benchmarks. The base is x509.ParseRevocationList and a map by serial number.
func measureRevocation(ctx context.Context, l *lab) error {
	rounds := make([]map[string]metrics, 0, l.rounds)
	for range l.rounds {
		round, err := millionRevoked(ctx)
		if err != nil {
			return err
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
	for _, c := range []struct{ name, benchmark, unit string }{
		{"time to load and verify", "ParseList", "ms/list"},
		{"memory held per entry", "ParseList", "B/entry"},
		{"memory allocated while loading", "ParseList", "B/op"},
		{"lookup of a serial number", "Find", "ns/op"},
	} {
		ours, base := of(c.benchmark+"/ours", c.unit), of(c.benchmark+"/base", c.unit)
		r.ratio(c.name, ratios(ours, base), fmt.Sprintf("%.0f against %.0f %s", median(ours), median(base), c.unit))
	}
	r.figure("a whole check, list in memory", fmt.Sprintf("%.0f ns", median(of("Check", "ns/op"))))
	return r.flush()
}

func millionRevoked(ctx context.Context) (map[string]metrics, error) {
	command := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchmem", "./attestation/revocation")
	text, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmark of attestation/revocation: %w\n%s", err, text)
	}
	got := parseBenchmarks(string(text), "Benchmark")
	if len(got) != 5 {
		return nil, fmt.Errorf("benchmark of attestation/revocation: found %v in\n%s", slices.Sorted(maps.Keys(got)), text)
	}
	return got, nil
}
