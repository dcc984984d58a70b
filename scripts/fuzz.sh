#!/usr/bin/env bash
# Runs every fuzz target over its committed seeds, then with new inputs for SECONDS each (0: the seeds alone).
# Usage: scripts/fuzz.sh SECONDS [target...]
#
# Needs only cargo and a C++ compiler (Debian package g++): coverage comes from stable options of rustc. There is
# no address sanitizer: the fuzzed crates have no unsafe code. What a run finds new is kept in target/fuzz/corpus and
# starts the next one; an input that fails is kept in target/fuzz/failed and belongs, made small, among the seeds.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS [target...]}
shift
wanted=("$@")

host=$(rustc -vV | sed -n 's/^host: //p')
work=$PWD/target/fuzz
# The last two make a wrong sum or a broken assumption an error, as in a debug build.
flags=(
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    --cfg=fuzzing -Cdebug-assertions -Coverflow-checks
)
# With --target, these do not reach build scripts.
export CARGO_ENCODED_RUSTFLAGS
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")

run() { # target, its seeds
    local name=$1 seeds=$2 log=$work/$1.log budget=(-max_total_time="$seconds")
    [ "$seconds" -gt 0 ] || budget=(-runs=0)
    mkdir -p "$work/corpus/$name" "$work/failed"
    if ! "$work/$host/release/$name" "${budget[@]}" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$work/failed/$name-" "$work/corpus/$name" "$seeds" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $name: failed; the whole output is in ${log#"$PWD"/}" >&2
        return 1
    fi
    echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs," \
        "$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | grep -o '[0-9]*') edges covered"
}

failed=0
ran=()
for manifest in $(git ls-files -co --exclude-standard '*fuzz/Cargo.toml'); do
    folder=$(dirname "$manifest")
    CARGO_PROFILE_RELEASE_DEBUG=0 cargo build -q --release --target "$host" --target-dir "$work" \
        --manifest-path "$manifest" --bins
    for source in "$folder"/fuzz_targets/*.rs; do
        name=$(basename "$source" .rs)
        if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $name "* ]]; then
            run "$name" "$folder/seeds/$name" || failed=1
            ran+=("$name")
        fi
    done
done
for name in "${wanted[@]}"; do
    if [[ " ${ran[*]} " != *" $name "* ]]; then
        echo "fuzz: there is no target $name" >&2
        failed=1
    fi
done
exit "$failed"
