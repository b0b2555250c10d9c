// Package managementtest sets up the management surfaces over a real store in memory,
// for tests of these surfaces, of the client and of the command line.
package managementtest
