#!/usr/bin/env bash
# How fast lxdeploy is, beside the best that can be had with other means on the same server, in the same minute:
#
#   tests/bench/run.sh [PART…] [--pairs N] [--count N] [--large N]
#
#   apply     apply and destroy of 50 containers     beside  lxd-benchmark launch and delete, 16 at once
#   plan      a plan of them that finds no change    beside  curl, the same requests all at once
#   large     the same for 1,000 stopped instances
#   start     `lxdeploy --version` and the program's size
#   validate  a site file of 5,000 instances
#
# Without PART all of them. Every pair is shown, since a machine has its moods; what counts is the median of
# their ratios. Who goes first changes from pair to pair. Nothing fails on a clock.
#
# It starts a private LXD by tests/bed.sh, so it needs root. LXDEPLOY=/path/to/lxdeploy measures that one
# instead of building it.
# shellcheck disable=SC2317 # the functions that are raced are called by name
set -euo pipefail

root=$(dirname "$(realpath "$0")")/../..
root=$(realpath "$root")
NAME=bench
. "$root/tests/host.sh"
export PATH=$PATH:$HOME/.cargo/bin LC_ALL=C

pairs=5
count=50
large=1000
parts=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --pairs | --count | --large) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 needs a number"; printf -v "${1#--}" %s "$2"; shift ;;
        apply | plan | large | start | validate) parts+=("$1") ;;
        *) die "usage: tests/bench/run.sh [apply] [plan] [large] [start] [validate] [--pairs N] [--count N] [--large N]" ;;
    esac
    shift
done
[[ ${#parts[@]} -gt 0 ]] || parts=(apply plan large start validate)


. "$root/tests/bench/race.sh"

provide_server() {
    [[ -z $bed ]] || return 0
    install_packages time
    bed=$(mktemp -d /tmp/lxd.XXXXXX)
    "$root/tests/bed.sh" start "$bed"
    export LXD_DIR=$bed LXD_CONF=$bed/client
    lxc network create lxbench0 ipv4.address=10.79.0.1/22 ipv4.nat=false ipv6.address=none >/dev/null
    lxc profile device add default root disk path=/ pool=default >/dev/null
    lxc profile device add default eth0 nic network=lxbench0 >/dev/null
    lxc image import "$bed/busybox.tar.xz" --alias bench >/dev/null
    fingerprint=$(lxc query /1.0/images/aliases/bench | jq -r .target)
    lxc profile create bench-empty >/dev/null # without a network card: dnsmasq is not what is measured
    lxc profile device add bench-empty root disk path=/ pool=default >/dev/null
    # Both start the same containers: this image, the profile `default`.
    cat >"$work/small.yaml" <<END
site: bench
instances:
  bench: {count: $count, image: bench, profiles: [default], stop_timeout: 0s}
END
    cat >"$work/large.yaml" <<END
site: bench-large
instances:
  empty: {count: $large, state: stopped, profiles: [bench-empty], config: {limits.memory: 256MiB}}
END
}

apply() { seconds "$lxdeploy" apply --yes "$work/small.yaml"; }
destroy() { seconds "$lxdeploy" destroy --yes "$work/small.yaml"; }
launch() { seconds lxd-benchmark launch --parallel=16 --count="$count" "$fingerprint"; }
delete() { seconds lxd-benchmark delete --parallel=16; }

# The deletion of what was just made is a figure, too.
destroy_kept() { destroy >>"$work/destroys"; }
delete_kept() { delete >>"$work/deletes"; }

part_apply() {
    provide_server
    : >"$work/destroys"; : >"$work/deletes"
    race "apply of $count containers, lxd-benchmark launch --parallel=16" "$pairs" s 1 apply launch destroy_kept delete_kept
    local replayed_ours replayed_theirs
    exec {replayed_ours}<"$work/destroys" {replayed_theirs}<"$work/deletes"
    next_ours() { head_of "$replayed_ours"; }
    next_theirs() { head_of "$replayed_theirs"; }
    race "destroy of $count containers, lxd-benchmark delete --parallel=16" "$pairs" s 1 next_ours next_theirs
    exec {replayed_ours}<&- {replayed_theirs}<&-
}
head_of() { local line; read -r line <&"$1"; echo "$line"; }

# A plan that finds no change, beside the requests that it makes, as its own log names them.
race_plan() { # SITE TITLE
    site=$1
    "$lxdeploy" plan -vv --no-color "$site" 2>&1 >/dev/null |
        sed -n 's|.*DEBUG GET \(/[^ ]*\) -> 200 .*|url = "http://lxd\1"\noutput = "/dev/null"|p' >"$work/curl.conf"
    local requests
    requests=$(grep -c ^url "$work/curl.conf") || die "the log of plan -vv names no requests"
    plan() { seconds "$lxdeploy" plan "$site"; }
    ask() { seconds curl -sS --fail --parallel --parallel-immediate --unix-socket "$bed/unix.socket" --config "$work/curl.conf"; }
    plan >/dev/null
    grep -q '^No changes' "$work/output" || die "the plan of $site is not empty: $(tail -n 1 "$work/output")"
    race "$2: plan without changes, curl --parallel of its $requests requests" $((pairs * 4)) ms 1000 plan ask
    local n
    for ((n = 0; n < pairs * 2; n++)); do cpu "$lxdeploy" plan "$site"; done | median |
        awk '{printf "  own CPU time (user and system, median): %d ms\n", $1}'
    memory "$lxdeploy" plan "$site" | awk '{printf "  peak memory: %s MB\n", $1}'
}

part_plan() {
    provide_server
    apply >/dev/null
    race_plan "$work/small.yaml" "$count running containers"
    destroy >/dev/null
}

part_large() {
    provide_server
    printf '\n%d empty instances: created in %.1f s\n' "$large" "$(seconds "$lxdeploy" apply --yes "$work/large.yaml")"
    race_plan "$work/large.yaml" "$large stopped instances"
    printf '  destroyed in %.1f s\n' "$(seconds "$lxdeploy" destroy --yes "$work/large.yaml")"
}

part_start() {
    install_packages time
    hundred() { local n; for ((n = 0; n < 100; n++)); do "$@"; done; }
    per_run() { seconds hundred "$@" | awk '{printf "%.5f\n", $1 / 100}'; }
    version() { per_run "$lxdeploy" --version; }
    nothing() { per_run /bin/true; }
    race "lxdeploy --version, /bin/true (of 100 runs each)" "$pairs" ms 1000 version nothing
    memory "$lxdeploy" --version | awk '{printf "  peak memory: %s MB\n", $1}'
    stat -L -c %s "$lxdeploy" | awk '{printf "  the program: %.1f MB\n", $1 / 1048576}'
}

part_validate() {
    install_packages time
    awk 'BEGIN {
        print "site: many\nvars: {net: 10.79}\nprofiles:\n  base: {config: {limits.memory: 256MiB}}\ninstances:"
        for (n = 0; n < 5000; n++) {
            printf "  web-%d:\n    image: debian\n    profiles: [base]\n    config: {limits.cpu: 2, user.number: \"{{ %d + 1 }}\"}\n", n, n
            printf "    devices: {eth0: {type: nic, network: lxdbr0, ipv4.address: \"{{ net }}.%d.%d\"}}\n", n / 250, n % 250 + 2
            if (n % 10) printf "    depends_on: [instances.web-%d]\n", n - n % 10
        }
    }' >"$work/many.yaml"
    printf '\nvalidate of 5,000 instances (%s lines)\n' "$(wc -l <"$work/many.yaml")"
    local n
    for ((n = 0; n < pairs; n++)); do seconds "$lxdeploy" validate "$work/many.yaml"; done | tee "$work/validated" |
        awk '{printf "  %6d %9.0f ms\n", NR, $1 * 1000}'
    median <"$work/validated" | awk '{printf "  median %9.0f ms\n", $1 * 1000}'
    memory "$lxdeploy" validate "$work/many.yaml" | awk '{printf "  peak memory: %s MB\n", $1}'
}

printf '%s, %s cores, %s\n' "$("$lxdeploy" --version)" "$(nproc)" "$(uname -sr)"
for part in "${parts[@]}"; do "part_$part"; done
