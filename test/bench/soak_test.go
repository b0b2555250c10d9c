package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestSoak is the short form of make soak: a few thousand visits, in every manner over
// every transport, leave nothing behind.
func TestSoak(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run([]string{"-quick", "soak"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s\n%s", code, errs.String(), out.String())
	}
	t.Log(out.String())
}

func TestReadingsAreHeldToThoseBefore(t *testing.T) {
	t.Parallel()
	before := reading{goroutines: 50, descriptors: 40, heap: 8 << 20}
	for name, change := range map[string]func(*reading){
		"goroutines": func(r *reading) { r.goroutines += 100 }, "descriptors": func(r *reading) { r.descriptors += 100 },
		"connections": func(r *reading) { r.connections++ }, "live heap": func(r *reading) { r.heap *= 2 },
	} {
		after := before
		if !after.within(before) {
			t.Error("equal readings differ")
		}
		if change(&after); after.within(before) {
			t.Errorf("more %s are taken", name)
		}
		for _, row := range after.against(before) {
			if strings.Contains(row.name, name) && !strings.Contains(row.String(), "MISSED") {
				t.Errorf("%s: %s", row.name, row)
			}
		}
	}
}
