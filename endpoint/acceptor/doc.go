// Package acceptor takes in the connections of devices: so many at once, so many of one
// address, so many TLS handshakes at a time. It learns from trusted proxies whom they
// bring, hands each connection to the protocol spoken on it and follows it until it ends,
// so that a server can drain. What the bytes mean is elsewhere.
package acceptor
