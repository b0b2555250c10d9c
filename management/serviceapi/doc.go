// Package serviceapi is the wire-compatible service API over HTTP: unmodified service
// SDKs call it with a connection string. It finds the scope by host name, proves the
// caller by shared access signature, and leaves the rest to management. Paths, models
// and routes come from openapi/service.yaml.
package serviceapi
