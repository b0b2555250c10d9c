// Package device is a device on first boot: it registers over any transport with a
// certificate or a symmetric key and polls until it is assigned, as the SDKs do.
package device
