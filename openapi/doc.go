// Package openapi holds the two OpenAPI documents: of the service API, which
// manufacturers' tools call, and of the operator's API. The packages below hold the
// models and server interfaces generated from them; change the documents, then run
// go generate.
package openapi
