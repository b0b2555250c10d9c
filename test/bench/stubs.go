package main

import "context"

type metrics map[string]float64

func parseBenchmarks(string, string) map[string]metrics { return nil }
func latency(context.Context, *lab) error               { return nil }
func commit(context.Context, *lab) error                { return nil }
func lookup(context.Context, *lab) error                { return nil }
func memory(context.Context, *lab) error                { return nil }
func fleet(context.Context, *lab) error                 { return nil }
