// Package rest is the device provisioning endpoint over HTTPS: register, operation
// status and registration lookup. Bytes and TLS state enter, a registration.Request
// goes to the Registrar, its result leaves as the original's JSON.
package rest
