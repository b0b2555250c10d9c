// Package scope holds what an ID scope is apart from its enrollments: its host
// names, defaults, access policies and CA certificates. An ID scope is one
// provisioning service of a deployment.
package scope
