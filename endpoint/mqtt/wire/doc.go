// Package wire is MQTT 3.1.1 as devices speak it: packets in bytes, and a line that reads
// and writes them within deadlines. CONNECT, SUBSCRIBE, PUBLISH at QoS 0 and 1, PING and
// DISCONNECT only. What topics mean is the business of who speaks: provisioning in the
// parent, the device side of the embedded hub elsewhere.
package wire
