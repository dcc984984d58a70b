#!/usr/bin/env bash
# The main job on real traffic: eBPF hands a pod's connections to Weir, an HTTP policy allows or
# denies each request, a weighted route splits what is allowed. Ends 0 only if all of it held.
#
# Needs root. Runs in mount, PID and network namespaces of its own, so that nothing is left
# behind however it ends. WEIR and BACKEND name the built binaries.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

explain_denial() {
    "$WEIR" explain "$1" --from default/frontend --to pod:default/api-v1:80 --method POST --path /public
}

if [ -z "${DEMO_INSIDE:-}" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "demo: not root: redirection and real traffic are left out; checking and explaining the configuration only"
        "$WEIR" check "$here/config"
        explain_denial "$here/config"
        exit 0
    fi
    DEMO_INSIDE=1 unshare --mount --pid --fork --kill-child --mount-proc "$0" &
    inner=$!
    trap 'kill -KILL $inner 2>/dev/null; wait $inner 2>/dev/null || true; echo "demo: interrupted, nothing left behind"; exit 130' INT TERM HUP
    wait $inner
    exit
fi

# Every mount from here on is this process's own and goes with it.
mount --make-rprivate /
mkdir -p /run/netns
mount -t tmpfs demo /run/netns
work=/mnt
mount -t tmpfs demo $work
cp -r "$here/config" $work/config

failures=0
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
check() { # description, command...
    local what=$1
    shift
    if "$@"; then echo "  ok    $what"; else
        echo "  FAIL  $what"
        failures=$((failures + 1))
    fi
}
in_ns() { local ns=$1; shift; nsenter --net=/run/netns/"$ns" "$@"; }
# The status and the first line of the answer: "200 v1", or "000 " when nothing answered.
request() { # pod, curl arguments...
    local pod=$1 status
    shift
    status=$(in_ns "$pod" curl -s -o $work/answer -w '%{http_code}' --max-time 5 "$@") || true
    echo "$status $(head -n 1 $work/answer 2>/dev/null | tr -d '\r')"
    : >$work/answer
}
between() { [ "$2" -ge "$1" ] && [ "$2" -le "$3" ]; }
until_true() { # command... within 10 s
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    return 1
}

add_pod() { # name, address
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip link add "v-$1" netns node type veth peer name eth0 netns "$1"
    ip -n "$1" addr add "$2/32" dev eth0
    ip -n "$1" link set eth0 up
    ip -n node link set "v-$1" up
    ip -n "$1" route add 169.254.1.1 dev eth0 scope link
    ip -n "$1" route add default via 169.254.1.1
    ip -n node addr add 169.254.1.1/32 dev "v-$1"
    ip -n node route add "$2/32" dev "v-$1"
}

say "A node with four pods: frontend, stranger, api v1 and api v2 (network namespaces joined by veth pairs)"
ip netns add node
ip -n node link set lo up
ip -n node addr add 10.88.0.1/32 dev lo
in_ns node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
add_pod frontend 10.88.0.10
add_pod stranger 10.88.0.11
add_pod api-v1 10.88.0.21
add_pod api-v2 10.88.0.22
in_ns api-v1 "$BACKEND" 10.88.0.21:80 v1 &
in_ns api-v2 "$BACKEND" 10.88.0.22:80 v2 &

say "weir run examples/demo/config --node demo"
"$WEIR" check $work/config
# Replaced by weir itself (exec), so that $! is what the signal below is for.
(exec nsenter --net=/run/netns/node "$WEIR" run $work/config --node demo --state-dir $work/state \
    --bpffs $work/bpf >$work/flows 2>$work/weir.log) &
weir=$!
if ! until_true grep -q ready $work/weir.log; then
    echo "demo: Weir did not become ready:"
    cat $work/weir.log
    exit 1
fi
check "ready" true

service=http://10.96.0.10
gateway=http://10.88.0.1
allowed() { [[ $(request frontend "$@") =~ ^200\ v[12]$ ]]; }
denied() { [ "$(request frontend "$@")" = "403 Access denied" ]; }
dropped() { [ "$(request stranger --connect-timeout 2 "$@")" = "000 " ]; }

say "Policy: role=frontend may GET /public on port 80 (examples/demo/config/policy.yaml)"
check "frontend GET /public to the pod's own address: 200" allowed http://10.88.0.21/public
check "frontend GET /public to the Service: 200" allowed $service/public
check "frontend GET /public to the Gateway: 200" allowed $gateway/public
check "frontend POST /public: 403 Access denied" denied -X POST http://10.88.0.21/public
check "frontend GET /private: 403 Access denied" denied http://10.88.0.21/private
check "frontend GET /private through the Service: 403 Access denied" denied $service/private
check "stranger GET /public: dropped, no connection" dropped http://10.88.0.21/public
recorded() { grep -q 'DENIED.* 403 ' $work/flows && grep 'DENIED' $work/flows | grep -q 'default/stranger'; }
check "the flow records show the 403 and the dropped connection" until_true recorded

split() { # base URL -> requests answered by v2 out of 1,000
    for _ in $(seq 1000); do echo "url = $1/public"; done >$work/urls
    in_ns frontend curl -s -K $work/urls | grep -c '^v2$' || true
}

say "Route: 90 to 10 by weight (examples/demo/config/route.yaml), 1,000 requests on each path"
for base in $service $gateway; do
    v2=$(split $base)
    check "$base: v1 $((1000 - v2)), v2 $v2" between 60 "$v2" 140
done

say "The file is edited to 50 to 50 under load"
load() { # base URL, file of statuses; until told to stop
    for _ in $(seq 200); do printf 'url = %s/public\noutput = /dev/null\n' "$1"; done >"$2.urls"
    while [ ! -e $work/stop ]; do in_ns frontend curl -s -w '%{http_code}\n' -K "$2.urls"; done >"$2"
}
load $service $work/load-service & loads=$!
load $gateway $work/load-gateway & loads="$loads $!"
busy() { [ "$(cat $work/load-service $work/load-gateway | wc -l)" -gt "$1" ]; }
until_true busy 400
sed -e 's/weight: 90/weight: 50/' -e 's/weight: 10/weight: 50/' $work/config/route.yaml >$work/route.new
mv $work/route.new $work/config/route.yaml
applied() { in_ns node "$WEIR" explain --state-dir $work/state --from default/frontend --to default/api:80 --method GET --path /public | grep -q '50'; }
check "the running Weir reports the new weights" until_true applied
for base in $service $gateway; do
    v2=$(split $base)
    check "$base: v1 $((1000 - v2)), v2 $v2" between 430 "$v2" 570
done
touch $work/stop
# shellcheck disable=SC2086
wait $loads || true
total=$(cat $work/load-service $work/load-gateway | wc -l)
failed=$(cat $work/load-service $work/load-gateway | grep -vc '^200$' || true)
check "$total requests in flight around the edit, $failed failed" [ "$failed" -eq 0 ]

say "Why was the POST denied?  weir explain --from default/frontend --to pod:default/api-v1:80 --method POST --path /public"
explain_denial $work/config | sed 's/^/  /'
explained() { explain_denial $work/config | grep -qi 'den'; }
check "explain names the denial" explained

say "Who talked to whom: three of the flow records"
{ grep -m1 ' 200 ' $work/flows; grep -m1 ' 403 ' $work/flows; grep -m1 'default/stranger' $work/flows; } | sed 's/^/  /'

kill -INT $weir
wait $weir || true
check "weir left no pin behind" [ -z "$(find $work/bpf -type f 2>/dev/null)" ]

if [ $failures -ne 0 ]; then
    say "$failures checks failed. Weir's log:"
    tail -n 40 $work/weir.log
    exit 1
fi
say "All of it held."
