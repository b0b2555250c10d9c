// Package identity proves callers whom the deployment itself does not know: by bearer
// tokens of OpenID Connect providers, and by client certificates. A token or a
// certificate enters, and a management.Caller with the roles leaves that the
// configuration maps it to. A provider that can't be reached costs its own tokens their
// admission and nothing else.
package identity
