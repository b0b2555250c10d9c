// Package outcall is how the service calls endpoints that operators name: allocation webhooks
// and hooks for events. It follows no redirects, reaches no address where clouds answer with a
// machine's credentials, and signs what it sends.
package outcall
