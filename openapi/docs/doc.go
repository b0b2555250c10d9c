// Package docs serves the documentation of both APIs to a browser, from the binary alone.
package docs
