#!/usr/bin/env bash
# Installs the OpenID providers that the tests of the factor oauth sign in at: oidc-provider with its dependencies as the lock file
# has them, and dex, built into the cache folder. What is there already is left as it is. Needs Go, node and npm.
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sallyport"
mkdir -p "$cache"

for p in npm node; do
	command -v "$p" >/dev/null || { echo "$p is missing: install the Debian packages nodejs npm"; exit 1; }
done
# oidc-provider needs a Node that Debian 12 does not have yet.
node_version=22.23.3
if ! node -e 'process.exit(typeof require("node:crypto").hash === "function" ? 0 : 1)' 2>/dev/null; then
	if [ "$("$cache/node/node_modules/node/bin/node" --version 2>/dev/null)" != "v$node_version" ]; then
		rm -rf "$cache/node"
		mkdir -p "$cache/node"
		echo '{"private":true}' >"$cache/node/package.json"
		npm install --prefix "$cache/node" --no-audit --no-fund --loglevel=error "node@$node_version"
	fi
fi

wanted=$(sha256sum oidc-provider/package-lock.json | cut -c1-16)
if [ "$(cat oidc-provider/node_modules/.installed 2>/dev/null)" != "$wanted" ]; then
	(cd oidc-provider && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	echo "$wanted" >oidc-provider/node_modules/.installed
fi

program="$cache/dex-$(cat dex/go.mod dex/go.sum dex/main.go | sha256sum | cut -c1-16)"
if [ ! -x "$program" ]; then
	(cd dex && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$program.new" .)
	mv "$program.new" "$program"
fi
