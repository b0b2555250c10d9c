// Package postgres is the production store: a pgx pool, waiting registration writes
// committed together by set-based statements in one round trip, waiting admissions
// read by one query. Any engine that speaks Postgres will do; nothing but the
// migrations asks for more than single-row compare-and-set.
package postgres
