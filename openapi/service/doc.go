// Package service holds the models and the server interface of the service API,
// generated from openapi/service.yaml.
package service

//go:generate go tool oapi-codegen -config codegen.yaml ../service.yaml
