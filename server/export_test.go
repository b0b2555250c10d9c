package server

// What tests look at from outside.
var (
	GCPercent  = gcPercent  //nolint:gochecknoglobals // for tests
	HeapGrowth = heapGrowth //nolint:gochecknoglobals // for tests
)
