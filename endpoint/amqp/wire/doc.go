// Package wire is the subset of AMQP 1.0 that devices speak: frames, performatives,
// SASL, and messages, to and from bytes (OASIS AMQP 1.0, parts 1 to 3 and 5). It reads
// bytes of strangers: depth, sizes and numbers of values are bounded before anything is
// allocated, and maps have text for keys. What stands in a frame means nothing here; see
// endpoint/amqp.
package wire
