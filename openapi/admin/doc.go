// Package admin holds the models and the server interface of the operator's API,
// generated from openapi/admin.yaml.
package admin

//go:generate go tool oapi-codegen -config codegen.yaml ../admin.yaml
