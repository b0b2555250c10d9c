package main

import (
	"fmt"
	"math"
	"slices"
)

// median of the values; NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	middle := len(s) / 2
	if len(s)%2 == 1 {
		return s[middle]
	}
	return (s[middle-1] + s[middle]) / 2
}

// percentile is the smallest value that a share p (0 to 1) of the values does not
// exceed (nearest rank); NaN of none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p * float64(len(s))))
	return s[min(max(rank, 1), len(s))-1]
}

// ratios divides round by round, so that what slowed the machine for a while weighs on
// both. Rounds that only one has are left out.
func ratios(values, base []float64) []float64 {
	out := make([]float64, 0, min(len(values), len(base)))
	for i := range min(len(values), len(base)) {
		out = append(out, values[i]/base[i])
	}
	return out
}

// sums adds round by round.
func sums(a, b []float64) []float64 {
	out := make([]float64, 0, min(len(a), len(b)))
	for i := range min(len(a), len(b)) {
		out = append(out, a[i]+b[i])
	}
	return out
}

// slope is the growth of y per x by least squares; NaN of fewer than two points.
func slope(x, y []float64) float64 {
	n := float64(min(len(x), len(y)))
	if n < 2 {
		return math.NaN()
	}
	var sx, sy, sxx, sxy float64
	for i := range int(n) {
		sx, sy, sxx, sxy = sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// spread shows the least and the greatest.
func spread(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f–%.2f", slices.Min(values), slices.Max(values))
}
