// Package migrations holds the schema of both stores, as numbered SQL files in one
// folder per dialect, and the runner that applies them. The same numbers stand in
// both folders. A migration is never edited once released, and each works with the
// release before it, so that replicas can be upgraded one by one.
//
// Conventions of the schema: times are microseconds since 1970 in UTC, 0 for none;
// JSON is text, kept as written; *_key columns hold IDs folded by dps.FoldASCII
// beside the ID as written; text is never NULL; what is sealed stands in columns
// named sealed.
package migrations
