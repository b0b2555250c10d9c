// Package postgres is the production store: a pgx pool, waiting registration writes
// committed together by set-based statements in one round trip, waiting admissions
// read by one query. The statements use ctid and a PL/pgSQL function, so they are for
// Postgres itself; see docs/adr/0010-postgres-batches.md.
package postgres
