// Package arm translates between declarations and what the original's resource manager
// says of a provisioning service: the JSON of "az iot dps show", of its access policies
// with keys, and of its certificates.
package arm
