#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Debian and its kin; elsewhere it
# says what is missing.
set -euo pipefail

missing=()
postgres_found() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
postgres_found || missing+=(postgresql)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v gcc >/dev/null || missing+=(gcc libc6-dev) # the race detector
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
{ command -v javac && command -v mvn; } >/dev/null || missing+=(default-jdk-headless maven)
command -v setpriv >/dev/null || missing+=(util-linux)
command -v faketime >/dev/null || missing+=(faketime) # devices with a wrong clock
command -v swtpm >/dev/null || missing+=(swtpm)       # devices with a TPM
command -v swtpm_setup >/dev/null || missing+=(swtpm-tools) # their manufacturer
command -v openssl >/dev/null || missing+=(openssl)   # a client that renegotiates

[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
  echo "please install these first: ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Debian starts a database cluster with the package; the tests bring their own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
  $sudo chmod +x /usr/sbin/policy-rc.d
  trap '$sudo rm -f /usr/sbin/policy-rc.d' EXIT
fi
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
