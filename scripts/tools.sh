#!/usr/bin/env bash
# Installs the clients and servers of others that the tests hold Weir against: h2spec, nghttp and
# h2load, openssl, node and curl. What is there already is left alone; the tests that need what
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
bin=${XDG_CACHE_HOME:-$HOME/.cache}/weir/bin

packages=(nghttp2-client openssl nodejs curl)
[ -x "$bin/h2spec" ] || command -v go >/dev/null || packages+=(golang-go)
declare -A command_of=([nghttp2-client]=h2load [openssl]=openssl [nodejs]=node [curl]=curl [golang-go]=go)

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

if [ -x "$bin/h2spec" ]; then
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "tools: go is missing, so h2spec is not built" >&2
    exit 0
fi
echo "tools: building h2spec into $bin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
go mod init tools >/dev/null 2>&1
go get "${modules[@]}" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
mkdir -p "$bin"
# Built aside and renamed, so that a half-written file is never taken for the tool.
go build -o "$bin/h2spec.part" "$h2spec/cmd/h2spec"
mv "$bin/h2spec.part" "$bin/h2spec"
