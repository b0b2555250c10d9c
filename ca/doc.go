// Package ca is a private certificate authority on the smallstep library: it makes the
// root and the server certificates with which a deployment without certificates of its
// own starts. Names and public keys enter, certificates leave.
package ca
