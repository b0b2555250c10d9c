#!/usr/bin/env bash
# Runs every fuzz target of the module for a time each.
set -euo pipefail
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fuzz() { # package target
  go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 100x "$1" >"$log" 2>&1
}

# Go's fuzzer now and then reports the end of -fuzztime itself as a failure (golang/go
# issue 75804), without a failing input. Only that is worth another try.
ended_late() {
  grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written to' "$log"
}

targets=$(grep -rHoE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]+' . | sort)
count=0
while IFS=: read -r file declaration; do
  target=${declaration#func }
  package=./$(dirname "$file")
  count=$((count + 1))
  if ! fuzz "$package" "$target" && ! { ended_late && fuzz "$package" "$target"; }; then
    cat "$log"
    exit 1
  fi
  echo "$(dirname "$file") $target: $(grep -oE 'execs: [0-9]+' "$log" | tail -n 1 || true)"
done <<<"$targets"
echo "$count fuzz targets ran clean for $time each"
