package main

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"odd number", []float64{3, 1, 2}, 2},
		{"even number: between the middle two", []float64{4, 1, 3, 2}, 2.5},
		{"an outlier does not count", []float64{1, 1, 1, 1, 1000}, 1},
		{"one", []float64{7}, 7},
		{"none", nil, math.NaN()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := append([]float64(nil), tt.values...)
			if diff := cmp.Diff(tt.want, median(tt.values), cmpopts.EquateNaNs()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, tt.values); diff != "" {
				t.Errorf("the values were changed: %s", diff)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, tt := range []struct {
		name   string
		values []float64
		p      float64
		want   float64
	}{
		{"p50 of 1 to 100", hundred, .50, 50},
		{"p99 of 1 to 100", hundred, .99, 99},
		{"all", hundred, 1, 100},
		{"least", hundred, 0, 1},
		{"p99 of two is the greater", []float64{5, 9}, .99, 9},
		{"none", nil, .5, math.NaN()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, percentile(tt.values, tt.p), cmpopts.EquateNaNs()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRatiosGoRoundByRound(t *testing.T) {
	t.Parallel()
	// The second round ran on a machine at half speed: both took twice as long.
	got := ratios([]float64{3, 6, 3}, []float64{2, 4, 2})
	if diff := cmp.Diff([]float64{1.5, 1.5, 1.5}, got); diff != "" {
		t.Error(diff)
	}
	if got := ratios([]float64{1, 2}, []float64{4}); len(got) != 1 {
		t.Errorf("rounds without a base: got %v", got)
	}
	if diff := cmp.Diff([]float64{4, 6}, sums([]float64{1, 2}, []float64{3, 4})); diff != "" {
		t.Error(diff)
	}
}

func TestSlope(t *testing.T) {
	t.Parallel()
	x := []float64{0, 1000, 2000, 3000}
	if got := slope(x, []float64{50, 50_050, 100_050, 150_050}); math.Abs(got-50) > 1e-9 {
		t.Errorf("slope of 50 per device and 50 at rest: got %v", got)
	}
	if got := slope(x[:1], x[:1]); !math.IsNaN(got) {
		t.Errorf("slope of one point: got %v", got)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       float64
		fails      bool
	}{
		{"user and system", "17 (dps) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 7 9 20 0 8 0 1 2 3", 3, false},
		{"a name with blanks and parentheses", "17 (a) b) (c) S 1 17 17 0 -1 4194560 100 0 0 0 1 2 7 9 20", .03, false},
		{"cut off", "17 (dps) S 1 17", 0, true},
		{"no name", "17", 0, true},
		{"no number", "17 (dps) S 1 17 17 0 -1 4194560 100 0 0 0 x 50 7 9", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat(tt.text)
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestParseResident(t *testing.T) {
	t.Parallel()
	got, err := parseMemory("Name:\tdps\nVmPeak:\t 9 kB\nVmRSS:\t   2048 kB\nThreads:\t8\n", "VmRSS:")
	if err != nil || got != 2<<20 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "Name:\tdps\n", "VmRSS:\tmuch\n"} {
		if _, err := parseMemory(text, "VmRSS:"); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	t.Parallel()
	if _, err := cpuSeconds(os.Getpid()); err != nil {
		t.Error(err)
	}
	if rss, err := residentBytes(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("memory %v, %v", rss, err)
	}
}

func TestParseBenchmark(t *testing.T) {
	t.Parallel()
	const text = `goos: linux
BenchmarkPairs/group/waiting=128-2         	   10000	    123456 ns/op	      8100.5 calls/s	     12000 p50-µs
BenchmarkPairs/each/waiting=1-2            	     100	    1234 ns/op	       700 calls/s	      1400 p50-µs
PASS`
	want := map[string]metrics{
		"group/waiting=128": {"ns/op": 123456, "calls/s": 8100.5, "p50-µs": 12000},
		"each/waiting=1":    {"ns/op": 1234, "calls/s": 700, "p50-µs": 1400},
	}
	if diff := cmp.Diff(want, parseBenchmarks(text, "BenchmarkPairs/")); diff != "" {
		t.Error(diff)
	}
}

func TestReportSaysWhetherABarHolds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := newReport(&out)
	r.atMost("X.509, Postgres", []float64{1.2, 1.1, 1.4}, 1.3, "0.8 ms")
	r.atMost("SAS, Postgres", []float64{1.5, 1.6, 1.2}, 1.25, "0.6 ms")
	r.atLeast("128 waiting", []float64{4}, 3, "")
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{"1.20 x", "1.50 x", "4.00 x"} {
		if !strings.Contains(lines[i], want) || strings.Contains(lines[i], "MISSED") != (i == 1) {
			t.Errorf("line %d: %s", i, lines[i])
		}
	}
}

func TestUnknownNameShowsTheList(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run([]string{"speed"}, &out, &errs); code != 2 {
		t.Errorf("exit code %d", code)
	}
	for _, b := range benchmarks() {
		if !strings.Contains(errs.String(), b.name) {
			t.Errorf("usage does not name %s", b.name)
		}
	}
}
