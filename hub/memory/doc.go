// Package memory is a hub that lives in the process: the fake by which registration
// is tested. It keeps the contract of hub.Registry and can be told to fail or hang.
package memory
