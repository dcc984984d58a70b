#!/usr/bin/env bash
# Installs what the build, the demo and the tests need, and says what it installs.
# Usage: scripts/setup.sh [extra Debian packages...]
set -euo pipefail

# cc and mold link, c++ builds the fuzzing engine; clang and libbpf-dev compile the eBPF programs; iproute2, util-linux and curl
# are what the demo and the tests drive namespaces and requests with.
packages=(gcc g++ libc6-dev mold clang llvm libbpf-dev linux-libc-dev iproute2 util-linux curl ca-certificates "$@")

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing: install Rust 1.95 or newer with rustup (https://rustup.rs)" >&2
    exit 1
fi
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "setup: not root, so these Debian packages are not installed: ${missing[*]}" >&2
    exit 0
fi
echo "setup: installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
