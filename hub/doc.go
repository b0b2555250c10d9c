// Package hub holds what a linked hub is, what a device identity in it is, and the
// Registry port through which identities are made. A product's adapter stands in a
// folder below; a Gate paces the calls to one hub.
package hub
