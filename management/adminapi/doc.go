// Package adminapi is the operator's API over HTTP, on a listener of its own: scopes,
// linked hubs, CA certificates and access policies. It proves the bearer token and
// leaves the rest, rights included, to management. Paths, models and routes come from
// openapi/admin.yaml.
package adminapi
