// Package attestation decides whether evidence proves an identity. Evidence (a TLS
// peer's certificates, a SAS token, the keys of a TPM) and a mechanism (what an
// enrollment stores) enter; a Proof or a coded error leaves. The mechanisms are a closed
// set fixed by the protocol: one file each, no plug-ins. It knows no transport and no
// store.
package attestation
