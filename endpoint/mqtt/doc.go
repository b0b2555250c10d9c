// Package mqtt is the device provisioning endpoint over MQTT 3.1.1 (OASIS standard of 29
// October 2014), the same over TLS and over WebSocket. It is no broker: a device connects,
// subscribes to the one filter on which replies come, publishes register and
// operation-status requests, and is answered. Packets enter, an endpoint.Exchange carries
// them out, a reply topic and JSON leave. Nothing is kept of a session.
//
// The codec is the package's own: those of the libraries at hand take truncated strings
// and reserved flags, or crash on crafted packets.
package mqtt
