// Package latency estimates how far devices are from hubs, in milliseconds of round trip.
// A device's address, the operator's sites, a GeoIP database, hubs' positions and what was
// measured enter; an [allocation.Latency] leaves, for the policy geoLatency to choose by.
//
// The estimate of a hub begins with a prior by distance and is drawn towards what was
// measured, by how much that rests on: in the areas around the device's, in its own, by
// the device itself. What one device reports counts for itself at once and for
// others only as one voice among several, so that nobody can steer others alone.
package latency
