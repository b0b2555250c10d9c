// Package webhook puts the custom policy's question to an HTTP endpoint, by the contract
// of the original (DPS concepts, "Custom allocation").
//
// A [Caller] holds to each webhook host of a scope apart: so many calls at a time, one
// more try where the first failed by no fault of the question, a circuit breaker. It
// follows no redirects, and reaches no address where clouds answer with a machine's
// credentials. Requests are signed where a secret is configured, see
// [outcall.Sign].
package webhook
