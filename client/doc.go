// Package client is the Go client of both management APIs: [Service] for what
// manufacturers do with enrollments, by connection string, and [Admin] for what
// operators do with scopes, hubs, CA certificates and policies, by token. Models are
// those generated from the OpenAPI documents. The package device below is a device.
package client
