// Package relocate moves enrollments from a running provisioning service to dps: it reads
// them through nothing but the wire API of the original, keys included, and writes them
// through the operator's API. The devices need no change but the host that they call.
// Repeating a move changes nothing, so one that was cut off is just begun again.
package relocate
