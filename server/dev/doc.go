// Package dev is "dps dev": a server on the embedded store with a development CA, one
// ID scope and two embedded hubs, all on loopback addresses, so that the first device
// is provisioned within a minute of the first start and everything is still there
// after the next.
package dev
