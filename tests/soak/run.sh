#!/usr/bin/env bash
# The long forms of some tests in tests/e2e, on daemons of their own: `tests/soak/run.sh WHAT [NUMBER]`.
#
# kills    so many kill -9 of lxdeploy (200)
# cuts     so many connections cut, refused, half closed or swallowed by a proxy in between (400)
# daemon   so many kill -9 of the daemon, which starts again (60)
# commands so many commands in a guest, eight at a time; none may hang or lose what it wrote (10000)
#
# They print what was hit, what converged, and what was left over, and the seed with which LXDEPLOY_SEED repeats a
# run. Needs root, as tests/run.sh does.
set -euo pipefail

cd "$(dirname "$(realpath "$0")")/../.."
[[ $# -ge 1 && $1 =~ ^(kills|cuts|daemon|commands)$ ]] || { echo "usage: tests/soak/run.sh kills|cuts|daemon|commands [NUMBER]" >&2; exit 2; }
[[ $# -lt 2 ]] || export LXDEPLOY_SOAK=$2
export PATH=$PATH:$HOME/.cargo/bin

if [[ $1 != daemon && -z ${LXDEPLOY_TEST_DIR:-} ]]; then
    LXDEPLOY_TEST_DIR=$(mktemp -d /tmp/lxd.XXXXXX)
    export LXDEPLOY_TEST_DIR
    trap 'tests/bed.sh stop "$LXDEPLOY_TEST_DIR"' EXIT
    tests/bed.sh start "$LXDEPLOY_TEST_DIR"
fi
test=faults::$1::soak
[[ $1 != commands ]] || test=guest::soak
cargo test --locked --test e2e "$test" -- --ignored --nocapture
