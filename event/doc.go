// Package event is the lifecycle events of registrations: what they tell, the cursor that
// names a place among them, and the hooks that they are delivered to.
//
// An event is committed with the change that it tells of. Once committed, [Store.Order]
// gives it its place in the stream of its ID scope; places are given one after another,
// so that whoever has read up to one has missed none before it. A [Feed] does so, and tells
// readers when there is more.
package event
