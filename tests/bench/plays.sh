#!/usr/bin/env bash
# How fast playbooks are, beside Ansible on the same containers, in the same minute:
#
#   tests/bench/plays.sh [PART…] [--pairs N] [--counts "1 4 16"]
#
#   role      a role that installs and configures memcached: run again       beside  ansible-playbook
#   first     the same on a container where nothing was done yet             beside  its commands typed by hand
#   forty     a playbook of forty tasks, run again, on so many containers     beside  ansible-playbook, forks=16
#   plan      a plan of 16 containers that have the forty tasks done: seconds and memory, beside nothing
#
# Without PART all of them. Every pair is shown; what counts is the median of their ratios. Nothing fails on a clock.
# LXDEPLOY_TEST_ROLES=DIR and ROLE=NAME take another role from a folder of published ones.
#
# It starts a private LXD by tests/bed.sh, so it needs root, and a Debian mirror, and PyPI for Ansible.
# LXDEPLOY=/path/to/lxdeploy measures that one instead of building it.
# shellcheck disable=SC2317 # the functions that are raced are called by name
set -euo pipefail

root=$(realpath "$(dirname "$(realpath "$0")")/../..")
NAME=bench
. "$root/tests/host.sh"
export PATH=$PATH:$HOME/.cargo/bin LC_ALL=C.UTF-8

pairs=5
counts="1 4 16"
role=${ROLE:-memcached}
parts=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --pairs) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 needs a number"; pairs=$2; shift ;;
        --counts) counts=$2; shift ;;
        role | first | forty | plan) parts+=("$1") ;;
        *) die "usage: tests/bench/plays.sh [role] [first] [forty] [plan] [--pairs N] [--counts \"1 4 16\"]" ;;
    esac
    shift
done
[[ ${#parts[@]} -gt 0 ]] || parts=(role first forty plan)

roles=$root/playbooks/roles${LXDEPLOY_TEST_ROLES:+:$LXDEPLOY_TEST_ROLES}
. "$root/tests/bench/race.sh"
install_packages time
ansible=$("$root/tests/ansible.sh")
export ANSIBLE_ROLES_PATH=$roles ANSIBLE_PIPELINING=1 ANSIBLE_FORKS=16 ANSIBLE_NOCOWS=1 ANSIBLE_DEPRECATION_WARNINGS=0
bed=$(mktemp -d /tmp/lxd.XXXXXX)
"$root/tests/bed.sh" start "$bed"
# Sixteen guests with systemd need more than the kernel's default.
sysctl -qw fs.inotify.max_user_instances=1048576
export LXD_DIR=$bed LXD_CONF=$bed/client LXDEPLOY_REMOTE=unix:$bed/unix.socket
"$root/tests/debian.sh" "$work/debian.tar.gz"
cp -r "$root"/tests/playbooks/* "$work"
printf -- '- hosts: all\n  roles: [%s]\n' "$role" >"$work/role.yml"
cd "$work"

# So many containers; their playbook, if there is one, is the site's.
containers() { # COUNT [PLAYBOOK]
    cat >site.yaml <<END
site: bench
roles_path: [${roles//:/, }]
images: {debian: {source: {file: debian.tar.gz}}}
networks: {lxbench0: {config: {ipv4.address: 10.79.0.1/22, ipv4.nat: "true", ipv6.address: none}}}
profiles: {bench: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: lxbench0}}}}
instances: {c: {count: $1, image: debian, profiles: [bench], stop_timeout: 0s, ready: [ipv4]}}
${2:+playbooks: [$2]}
END
    local n
    : >inventory.ini
    for ((n = 1; n <= $1; n++)); do
        echo "c-$n ansible_connection=community.general.lxd ansible_python_interpreter=/usr/bin/python3" >>inventory.ini
    done
}
provide() { # COUNT
    containers "$1"
    "$lxdeploy" apply --yes site.yaml >"$work/output" 2>&1 || { cat "$work/output"; die "no containers"; }
    "$lxdeploy" exec site.yaml all -- apt-get -qq update >/dev/null
}
# Seconds that Ansible takes. Its connection to LXD hangs now and then with many forks; then it is begun anew.
play() { # ARGUMENT…
    local tries took
    for tries in 1 2 3; do
        took=$(seconds timeout -k 5 300 "$ansible/bin/ansible-playbook" -i inventory.ini "$@") && { echo "$took"; return; }
        echo "ansible-playbook failed or hung (try $tries)" >&2
    done
    die "ansible-playbook does not come to its end"
}
trips() { "$lxdeploy" run -v "$1" site.yaml 2>&1 | sed -n 's/^  \(c-1.*round trips\)$/  \1/p'; }

part_role() {
    provide 1
    "$lxdeploy" run role.yml site.yaml >"$work/output" 2>&1 || { cat "$work/output"; die "the role fails"; }
    ours() { seconds "$lxdeploy" run role.yml site.yaml; }
    theirs() { play role.yml; }
    race "the role $role, run again; ansible-playbook" "$pairs" s 1 ours theirs
    trips role.yml
}

# What the role does, as one would type it.
by_hand() {
    lxc exec c-1 -- apt-get -qq -y -o Dpkg::Options::=--force-confold install memcached >/dev/null &&
        lxc exec c-1 -- sh -c 'sed -i "s/^-m .*/-m 64/" /etc/memcached.conf && systemctl enable -q memcached && systemctl restart memcached'
}
anew() {
    "$lxdeploy" destroy --yes --force-stop --target 'instances.c-1' site.yaml >/dev/null 2>&1
    provide 1
}
part_first() {
    provide 1
    ours() { seconds "$lxdeploy" run role.yml site.yaml; }
    theirs() { seconds by_hand; }
    anew
    race "the role $role, for the first time; its commands by hand" "$pairs" s 1 ours theirs anew anew
}

part_forty() {
    local count
    for count in $counts; do
        provide "$count"
        "$lxdeploy" run forty.yml site.yaml >"$work/output" 2>&1 || { cat "$work/output"; die "forty.yml fails"; }
        ours() { seconds "$lxdeploy" run forty.yml site.yaml; }
        theirs() { play forty.yml; }
        race "forty tasks, run again on $count; ansible-playbook with 16 forks" "$pairs" s 1 ours theirs
        trips forty.yml
    done
}

part_plan() {
    provide 16
    "$lxdeploy" run forty.yml site.yaml >"$work/output" 2>&1 || { cat "$work/output"; die "forty.yml fails"; }
    containers 16 forty.yml
    local round
    printf '\nplan of 16 with forty tasks each\n'
    for ((round = 1; round <= pairs; round++)); do printf '  %6d %9.2f s\n' "$round" "$(seconds "$lxdeploy" plan site.yaml)"; done
    memory "$lxdeploy" plan site.yaml | awk '{printf "  peak memory: %s MB\n", $1}'
}

printf '%s, %s cores, %s\n' "$("$lxdeploy" --version)" "$(nproc)" "$(uname -sr)"
for part in "${parts[@]}"; do "part_$part"; done
