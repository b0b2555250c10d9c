// Package revocation says whether a certificate was revoked by its issuer: by the list
// that the issuer publishes or that was uploaded (RFC 5280), and by its responder (OCSP,
// RFC 6960).
//
// Lists lie in memory, sorted, some 21 bytes an entry, so that most answers take no
// call. A [Checker] fetches them in the background, one fetch for all who wait; who asks
// for what is not there waits for a bounded time and no longer.
package revocation
