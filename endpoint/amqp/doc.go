// Package amqp is the device endpoint over AMQP 1.0, on a connection that stands already:
// TLS or WebSocket. It speaks the server's side of what the device SDKs use: SASL or none,
// one session, one link for requests and one for answers. Bytes are read by the package
// wire below; what is said is the parent's.
//
// A device's identity is the SASL user, or the address of its links if it shows a
// certificate; its proof is looked at with each request. So a device that is refused
// gets a rejected request with the same JSON as over HTTPS, where an outcome of SASL would
// look to it like a fault of the network.
package amqp
