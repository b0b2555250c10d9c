// Package azureiot is the adapter for Azure IoT Hub and for what speaks its registry
// API, such as the embedded hub. A hub.Want enters, identities leave over HTTPS.
//
// A first assignment costs one call: PUT without If-Match when there is no initial
// twin, else a bulk call with one item of mode create, which makes device and twin
// in one step but does not tell the generation ID. Everything else is conditional on
// an etag read in the same call of the Registry. Facts and sources:
// docs/protocol.md, "IoT Hub registry API".
//
// Thumbprints are passed on as they are given. dps knows devices by SHA-256, which
// hubs accept; a SHA-1 thumbprint can't be had from it.
package azureiot
