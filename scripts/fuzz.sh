#!/usr/bin/env bash
# Runs every fuzz target of the module for a time each.
set -euo pipefail
time=${1:-10s}
go list -f '{{.Dir}} {{join .TestGoFiles ","}},{{join .XTestGoFiles ","}}' ./... | while read -r dir files; do
  for file in ${files//,/ }; do
    grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' "$dir/$file" 2>/dev/null | awk '{print $2}' | while read -r target; do
      echo "fuzz ${dir#"$PWD"/} $target for $time"
      go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" >/tmp/dps-fuzz.$$ 2>&1 || { cat /tmp/dps-fuzz.$$; exit 1; }
      tail -n 2 /tmp/dps-fuzz.$$ | head -n 1
    done
  done
done
rm -f /tmp/dps-fuzz.$$
