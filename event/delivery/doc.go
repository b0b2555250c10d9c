// Package delivery posts lifecycle events to hooks: at least once, those of a device one
// after another, in their order.
//
// Of all replicas one delivers to a hook at a time, by a lease. It reads ahead so far and
// keeps several devices' events in flight; what it commits is the position up to which
// everything is done, so that its successor repeats some and misses none. A hook that is
// down is tried less and less often; an event that the receiver would not take, while it
// takes others, is set aside in the end.
package delivery
