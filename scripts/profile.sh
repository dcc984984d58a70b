#!/usr/bin/env bash
# Writes proxy/bin/weir.profdata: how often a running weir does what, by which the compiler lays release builds out.
# Usage: make profile   (root; three release builds and three minutes)
#
# The load is the soak, for its breadth, and then the bench's rows of requests, for what counts.
set -euo pipefail
cd "$(dirname "$0")/.."

rows=http1_keepalive_1000routes,http2,grpc_unary,http1_no_keepalive,tls_handshake,tls_keepalive,tcp_1mib
folder=$PWD/target/profile
host=$(rustc -vV | sed -n 's/^host: //p')
# The counts are in the format of the compiler's own LLVM.
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
scripts/setup.sh "llvm-$llvm"

# The same packages as in `make build`: with other features it would have other functions.
RUSTFLAGS="-C link-arg=-fuse-ld=mold -C profile-generate=$folder/counts" \
    cargo build --release --locked --target "$host" --target-dir "$folder" -p weir -p tests --bins
cargo build --release --locked -p benches --bins
weir=$folder/$host/release/weir

rm -rf "$folder/counts"
WEIR_BIN=$weir target/release/soak 60
target/release/bench --weir "$weir" --only weir --rounds 1 --rows "$rows" --json "$folder/results.json"

# What never ran is left out: it is most of the program, and compiled as if nothing were known of it.
"llvm-profdata-$llvm" merge --sparse --output proxy/bin/weir.profdata "$folder/counts"
ls -l proxy/bin/weir.profdata
