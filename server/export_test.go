package server

// What tests look at from outside.
var (
	GCPercent  = gcPercent
	HeapGrowth = heapGrowth

	NewHTTPServer = newHTTPServer
)
