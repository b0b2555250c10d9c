// Package endpointtest plays the devices' conversation over a transport: one suite holds
// every transport to the same answers. What only one transport has, as its own ways to
// refuse, is tested with the transport.
package endpointtest
