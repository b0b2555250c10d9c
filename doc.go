// Package dps is the vocabulary of the device provisioning service: identifiers,
// coded errors and secrets. Everything that provisions a device is in the packages
// named after the words of the field (attestation, enrollment, allocation, hub,
// registration); everything that speaks to the outside is in endpoint, management,
// storage and hub adapters. See docs/architecture.md for the map.
package dps
