// Package enrollment holds who may register and how: individual enrollments,
// enrollment groups and the settings they share, the rules a write must obey, and
// the matching of a device to the one entry that decides about it.
package enrollment
