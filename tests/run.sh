#!/usr/bin/env bash
# Every check and test of lxdeploy, on real daemons of its own: LXD, a cluster of three, Incus: `tests/run.sh`. With an
# argument one of these groups alone: `tests/run.sh lxd`, `tests/run.sh cluster`, `tests/run.sh incus`.
#
# Needs root on Debian 12 or later, and a Rust toolchain; all else is installed. A group that fails does not
# keep the others from running. The last line is `N passed, N failed`; the exit code is 1 if any failed.
set -uo pipefail

cd "$(dirname "$(realpath "$0")")/.." || exit 1
NAME=run
. tests/host.sh
export PATH=$PATH:$HOME/.cargo/bin
export INSTA_UPDATE=no # a snapshot that differs is a failure, not a new file

passed=0
failed=0
failures=()
bed=
cluster=
output=$(mktemp)

finish() {
    [[ -z $bed ]] || tests/bed.sh stop "$bed"
    [[ -z $cluster ]] || tests/cluster.sh stop "$cluster"
    rm -f "$output"
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() { # WHAT
    failed=$((failed + 1))
    failures+=("$1")
}

# A check that passes or fails as a whole.
check() { # WHAT COMMAND…
    printf '\n== %s\n' "$1"
    if "${@:2}"; then passed=$((passed + 1)); else fail "$1"; fi
}

# Tests, counted from cargo's own `test result:` lines. What ends badly without saying so (it does not
# compile, it crashed) is one failure.
tests() { # WHAT ARGUMENT…
    printf '\n== %s\n' "$1"
    local status good bad
    cargo test --locked --no-fail-fast "${@:2}" 2>&1 | tee "$output"
    status=${PIPESTATUS[0]}
    read -r good bad < <(awk '/^test result: / {
        for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) good += $(i - 1); if ($i ~ /^failed/) bad += $(i - 1) }
    } END {print good + 0, bad + 0}' "$output")
    passed=$((passed + good))
    failed=$((failed + bad))
    if [[ $bad -gt 0 ]]; then
        while read -r name; do failures+=("$1: $name"); done < <(awk '/^test .* \.\.\. FAILED$/ {print $2}' "$output")
    elif [[ $status -ne 0 ]]; then
        fail "$1: cargo test ended with $status"
    fi
}

provide_toolchain() {
    command -v cargo >/dev/null || die "Rust is missing: install it from https://rustup.rs"
    command -v cc >/dev/null || install_packages gcc libc6-dev
    command -v git >/dev/null || install_packages git
    type -P kill >/dev/null || install_packages procps # a test sends signals
    local component
    for component in fmt:rustfmt clippy:clippy; do
        quietly cargo "${component%%:*}" --version || ! command -v rustup >/dev/null || rustup component add "${component##*:}"
    done
}

# Tests on a daemon of their own, which is gone when they are done.
tests_on() { # KIND WHAT ARGUMENT…
    printf '\n== a private daemon: %s\n' "$1"
    bed=$(mktemp -d "/tmp/$1.XXXXXX")
    if tests/bed.sh start "$bed" "$1"; then
        export LXDEPLOY_TEST_DIR=$bed LXDEPLOY_TEST_KIND=$1 LXDEPLOY_TEST_DEBIAN=$bed/debian.tar.gz
        tests/debian.sh "$LXDEPLOY_TEST_DEBIAN" || fail 'tests/debian.sh'
        tests "${@:2}"
        # Its faults and updates are LXD's to show, and take their time.
        [[ $1 != incus ]] || tests 'the platform on Incus' --test platform -- serving
        # The same playbook by Ansible and by lxdeploy; without Ansible it fails.
        [[ $1 != lxd ]] || check 'twins' tests/twins/run.sh "$bed"
    else
        fail "tests/bed.sh start $1"
    fi
    tests/bed.sh stop "$bed"
    bed=
}

# The tests of clusters, and nothing but those, need three members.
with_a_cluster() { # COMMAND…
    printf '\n== a cluster of three\n'
    cluster=$(mktemp -d /tmp/cl.XXXXXX)
    export LXDEPLOY_TEST_CLUSTER_DIR=$cluster # without a cluster its tests fail, and say so
    tests/cluster.sh start "$cluster" || fail 'tests/cluster.sh start'
    "$@"
    tests/cluster.sh stop "$cluster"
    cluster=
}

provide_toolchain
case ${1-} in
'')
    check 'cargo fmt' cargo fmt --check
    check 'cargo clippy' cargo clippy --locked --all-targets -- -D warnings
    tests 'unit tests' --lib
    with_a_cluster tests_on lxd 'integration tests' --test '*'
    # What needs no daemon has been run.
    tests_on incus 'on Incus' --test e2e --test remote
    ;;
lxd | incus) tests_on "$1" "on $1" --test e2e --test remote ;;
cluster) with_a_cluster tests 'on a cluster' --test cluster ;;
*) die "usage: tests/run.sh [lxd|cluster|incus]" ;;
esac

if [[ $failed -gt 0 ]]; then
    printf '\nFailed:\n'
    printf '  %s\n' "${failures[@]}"
fi
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
