#!/usr/bin/env bash
# Generates everything anew and fails when a committed file differs.
set -euo pipefail
before=$(git status --porcelain)
go generate ./...
go mod tidy -diff
after=$(git status --porcelain)
if [ "$before" != "$after" ]; then
  echo "generated files are not current; run make generate and commit:" >&2
  git status --short >&2
  git diff >&2
  exit 1
fi
echo "generated files are current"
