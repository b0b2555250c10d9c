// Package lot reads and writes files of individual enrollments, one per row, as
// production lines keep them: NDJSON or CSV of any length. An import cuts a file into
// batches, has them validated and committed by several workers, and tells in the order
// of the file what became of them; an export writes rows that can be imported again.
package lot
