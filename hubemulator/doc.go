// Package hubemulator is the embedded hub: a device registry with twins that speaks
// IoT Hub's REST API, so that the service reaches it through the same adapter as a
// real hub and unmodified service SDKs manage it. Requests enter through Handler,
// which some TLS listener serves; devices are kept in one SQLite file per hub.
//
// Devices converse through ServeDevice, over whatever connection carries MQTT 3.1.1: a
// session is admitted by the registry, reads and reports its twin, is told of desired
// properties, and sends telemetry, of which counts and the last few are kept in memory.
//
// Modules, configurations, jobs and methods answer 501. Everything an answer
// acknowledges survives the death of the process.
package hubemulator
