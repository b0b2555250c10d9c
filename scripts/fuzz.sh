#!/usr/bin/env bash
# Runs every fuzz target of the module for a time each.
set -euo pipefail
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
targets=$(grep -rHoE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]+' . | sort)
count=0
while IFS=: read -r file declaration; do
  target=${declaration#func }
  count=$((count + 1))
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "./$(dirname "$file")" >"$log" 2>&1; then
    cat "$log"
    exit 1
  fi
  echo "$(dirname "$file") $target: $(grep -oE 'execs: [0-9]+' "$log" | tail -n 1 || true)"
done <<<"$targets"
echo "$count fuzz targets ran clean for $time each"
