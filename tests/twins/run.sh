#!/usr/bin/env bash
# What lxdeploy does to a container, and what Ansible does to its twin: `tests/twins/run.sh BED [ROLE…]`. BED is the
# directory of a running `tests/bed.sh`. Without roles: all playbooks here and the platform's own
# roles. Others are read from the folder that LXDEPLOY_TEST_ROLES names: published ones, fetched by hand.
set -euo pipefail

cd "$(dirname "$(realpath "$0")")/../.."
bed=$1
shift
ansible=$(tests/ansible.sh)
work=$(mktemp -d /tmp/twins.XXXXXX)
if [[ $# -eq 0 ]]; then # all, two at a time
    trap 'rm -rf "$work"' EXIT
    tests/debian.sh "$work/debian.tar.gz"
    "$0" "$bed" language facts forty base memcached >"$work/log" 2>&1 &
    failed=0
    "$0" "$bed" every dnf || failed=1
    wait $! || failed=1
    cat "$work/log"
    exit $failed
fi
lxdeploy=$PWD/target/debug/lxdeploy
[[ -x $lxdeploy ]] || cargo build --locked
export LXDEPLOY_REMOTE=unix:$bed/unix.socket LXD_DIR=$bed LXD_CONF=$bed/client
roles=$PWD/tests/twins/roles:$PWD/playbooks/roles${LXDEPLOY_TEST_ROLES:+:$LXDEPLOY_TEST_ROLES}
export ANSIBLE_ROLES_PATH=$roles
finish() {
    (cd "$work" && "$lxdeploy" destroy --yes --force-stop site.yaml >/dev/null 2>&1) || true
    rm -rf "$work"
}
trap finish EXIT
tests/debian.sh "$work/debian.tar.gz"
# Several may run side by side.
export TWINS_PROJECT=tw$$
twins=$TWINS_PROJECT address=10.$((200 + $$ % 50)).$(($$ / 50 % 250)).1/24
cat >"$work/site.yaml" <<SITE
site: $twins
project: $twins
roles_path: [${roles//:/, }]
projects: {$twins: {config: {features.images: "true", features.profiles: "true"}}}
images: {debian: {source: {file: debian.tar.gz}}}
networks: {$twins: {config: {ipv4.address: $address, ipv4.nat: "true", ipv6.address: none}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: $twins}}}}
instances:
  ours: {image: debian, profiles: [base], stop_timeout: 0s, ready: [ipv4]}
  theirs: {image: debian, profiles: [base], stop_timeout: 0s, ready: [ipv4]}
SITE
compare() { # ROLE
    # Twins that nothing was done to yet.
    (cd "$work" && "$lxdeploy" destroy --yes --force-stop --target instances.ours --target instances.theirs site.yaml >/dev/null 2>&1) || true
    (cd "$work" && "$lxdeploy" apply --yes site.yaml 2>&1 | tail -n 1) || return 1
    (cd "$work" && "$lxdeploy" exec site.yaml all -- apt-get -qq update >/dev/null) || return 1
    local variables=()
    [[ ! $1 =~ ^(every|dnf)$ ]] || variables=('{"variant": 2}')
    python3 tests/twins/compare.py "$lxdeploy" "$ansible" "$work" "$1.yml" "${variables[@]}"
}
cp -r tests/twins/{*.yml,tasks,group_vars} tests/playbooks/* "$work"
failed=0
for role; do
    echo "= $role"
    [[ -e $work/$role.yml ]] || printf -- '- hosts: all\n  roles: [%s]\n' "$role" >"$work/$role.yml"
    for try in 1 2 3; do
        status=0
        compare "$role" || status=$?
        # Ansible failed alone, perhaps its connection.
        [[ $status -eq 3 && $try -lt 3 ]] || break
        echo "= $role once more, from the beginning"
    done
    [[ $status -eq 0 ]] || failed=1
done
exit $failed
