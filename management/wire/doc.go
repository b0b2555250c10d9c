// Package wire turns the service API's models into enrollments and back. Models come
// in as clients send them, with nulls, masked keys and read-only members; what leaves
// is in one canonical form for every API version.
package wire
