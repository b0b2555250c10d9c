// Package apierror turns coded errors into the wire's error bodies: one table, a row
// per code, for every transport and API.
package apierror
