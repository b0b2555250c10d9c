package apierror

import (
	"fmt"
	"slices"
	"strings"
)

//go:generate go run ./gendoc ../../docs/errors.md

const preamble = `# Errors

Every error answer bears a six-digit code, of which the first three digits repeat the
HTTP status, a message that says what to do, and a tracking ID under which the server's
log tells the rest. The operator's API adds the stable name. "Again" tells whether the
same request may succeed later; such answers bear Retry-After where a time is known.
Where the original's API says 401 to a good credential that lacks a right or is for
another scope, the operator's API says 403, with the same last three digits.

Generated from internal/apierror by go generate; do not edit.

| Code | HTTP | Name | Again | Meaning |
|---|---|---|---|---|
`

// Document returns docs/errors.md: the table by error code.
func Document() string {
	rows := slices.Clone(table[:])
	slices.SortStableFunc(rows, func(a, b Row) int { return a.ErrorCode - b.ErrorCode })
	var b strings.Builder
	b.WriteString(preamble)
	for _, r := range rows {
		again := "no"
		if r.Retryable {
			again = "yes"
		}
		fmt.Fprintf(&b, "| %d | %d | `%s` | %s | %s |\n", r.ErrorCode, r.Status, r.Name, again, r.Meaning)
	}
	return b.String()
}
