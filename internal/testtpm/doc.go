// Package testtpm plays the TPM of a device: one of software keys alone, and swtpm, the
// emulator of a whole one, also behind the protocol that the device SDKs speak with
// simulators.
package testtpm
