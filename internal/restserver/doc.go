// Package restserver is what the two management APIs do alike with an HTTP request
// before and after its handler: tracking ID, one log line, bounded JSON bodies, and
// the check against the OpenAPI document. How errors look is the API's own.
package restserver
