// Package websocket tells apart what is spoken over WebSocket on the HTTPS port, by the
// subprotocol that the device offers, and hands the connection to it as a stream of bytes.
package websocket
