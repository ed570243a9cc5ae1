#!/usr/bin/env bash
# Builds step-ca, a certificate authority that the tests ask for certificates and for the list of those that it revoked, into
# the cache folder. What is there already is left as it is. Needs Go.
set -euo pipefail
version=v0.30.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sallyport"
program="$cache/step-ca-$version"
[ ! -x "$program" ] || exit 0
mkdir -p "$cache"
new=$(mktemp -d "$cache/new-XXXXXX")
trap 'rm -rf "$new"' EXIT
# Without cgo it needs nothing for smart cards.
GOBIN="$new" CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "github.com/smallstep/certificates/cmd/step-ca@$version"
mv "$new/step-ca" "$program"
