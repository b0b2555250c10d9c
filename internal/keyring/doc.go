// Package keyring seals secrets at rest and derives labelled keys from a keyring
// file. The first key seals, every key opens.
package keyring
