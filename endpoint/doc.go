// Package endpoint is what the device provisioning endpoint says, whatever the
// transport: the JSON bodies of the device API and the Registrar that it needs. One
// transport each is in the packages below.
package endpoint
