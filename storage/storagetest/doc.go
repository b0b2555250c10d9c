// Package storagetest is the meaning of a storage.Store: a suite that every back end
// passes. A fault found in one back end becomes a case for all.
package storagetest
