// Package query is what both back ends have in common: the SQL text, the row codecs
// with the sealing of secrets, and the stores of enrollments, scopes and settings
// written over a small driver interface. A back end brings the driver, its own
// batches of registration writes, and its read for admission.
package query
