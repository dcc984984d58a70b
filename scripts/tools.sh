#!/usr/bin/env bash
# Installs the clients and servers of others that the tests hold Weir against: h2spec, grpcurl, nghttp
# and h2load, openssl, node with the packages of tests/peers, and curl. What is there already is left alone; the tests that need what
# cannot be had say so and skip.
# Usage: scripts/tools.sh
set -euo pipefail

# The module has no go.mod, so what it is built with is pinned here as well. Go checks all of it
# against its checksum database.
h2spec=github.com/summerwind/h2spec
modules=(
    "$h2spec@v2.2.1+incompatible"
    golang.org/x/net@v0.62.0
    github.com/spf13/cobra@v1.10.2
    github.com/fatih/color@v1.19.0
)
grpcurl=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir
bin=$cache/bin
peers=$(cd "$(dirname "$0")/../tests/peers" && pwd)

packages=(nghttp2-client openssl nodejs curl)
# Some packages of node have npm with them.
command -v npm >/dev/null || command -v node >/dev/null || packages+=(npm)
{ [ -x "$bin/h2spec" ] && [ -x "$bin/grpcurl" ]; } || command -v go >/dev/null || packages+=(golang-go)
declare -A command_of=([nghttp2-client]=h2load [openssl]=openssl [nodejs]=node [curl]=curl [golang-go]=go [npm]=npm)

missing=()
for package in "${packages[@]}"; do
    command -v "${command_of[$package]}" >/dev/null || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -eq 0 ]; then
        echo "tools: installing Debian packages: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "tools: not root, so these Debian packages are not installed: ${missing[*]}" >&2
    fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Installed aside as well; the lock file, which is copied last of all, says that it is all there.
if ! cmp -s "$peers/package-lock.json" "$cache/npm/package-lock.json"; then
    if command -v npm >/dev/null; then
        echo "tools: installing the packages of tests/peers into $cache/npm"
        mkdir "$work/npm"
        cp "$peers/package.json" "$peers/package-lock.json" "$work/npm"
        (cd "$work/npm" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null 2>"$work/log") \
            || { cat "$work/log" >&2; exit 1; }
        rm -rf "$cache/npm"
        mkdir -p "$cache/npm"
        mv "$work/npm/node_modules" "$cache/npm"
        cp "$peers/package-lock.json" "$cache/npm"
    else
        echo "tools: npm is missing, so the packages of tests/peers are not installed" >&2
    fi
fi

if [ -x "$bin/h2spec" ] && [ -x "$bin/grpcurl" ]; then
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "tools: go is missing, so h2spec and grpcurl are not built" >&2
    exit 0
fi
if [ ! -x "$bin/grpcurl" ]; then
    echo "tools: building grpcurl into $bin"
    GOBIN=$work go install "$grpcurl" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    mkdir -p "$bin"
    mv "$work/grpcurl" "$bin/grpcurl"
fi
[ -x "$bin/h2spec" ] && exit 0
echo "tools: building h2spec into $bin"
cd "$work"
go mod init tools >/dev/null 2>&1
go get "${modules[@]}" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
mkdir -p "$bin"
# Built aside and renamed, so that a half-written file is never taken for the tool.
go build -o "$bin/h2spec.part" "$h2spec/cmd/h2spec"
mv "$bin/h2spec.part" "$bin/h2spec"
