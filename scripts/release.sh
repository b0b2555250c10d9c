#!/usr/bin/env bash
# Builds static, stripped binaries for every supported platform.
set -euo pipefail
version=$(git describe --tags --always --dirty 2>/dev/null || echo devel)
rm -rf dist && mkdir dist
for arch in amd64 arm64; do
  name=dps-$version-linux-$arch
  mkdir "dist/$name"
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags '-s -w' -o "dist/$name/dps" ./cmd/dps
  cp LICENSE README.md CHANGELOG.md packaging/dps.service packaging/dps.yaml "dist/$name/"
  tar -C dist --sort=name --owner=0 --group=0 -czf "dist/$name.tar.gz" "$name"
  rm -r "dist/$name"
done
(cd dist && sha256sum ./*.tar.gz > SHA256SUMS && cat SHA256SUMS)
