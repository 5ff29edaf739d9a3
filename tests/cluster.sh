#!/usr/bin/env bash
# A private LXD cluster of three members to test against, on one machine:
#
#   tests/cluster.sh start DIR          makes it
#   tests/cluster.sh stop DIR           takes it away
#   tests/cluster.sh kill DIR MEMBER    kills a member's daemon; its guests run on
#   tests/cluster.sh lost DIR MEMBER    waits until the others call that member offline
#   tests/cluster.sh revive DIR MEMBER  starts that daemon again, and waits until the member is online
#
# Each member (n1, n2, n3) is a daemon in a network and a mount namespace of its own, with a cable to a bridge that
# lives in a fourth namespace: the machine's own networks, mounts and LXD are never touched, and several clusters
# run side by side. Clients reach a member by its socket, from anywhere.
#
# start leaves in DIR, which must be short (`mktemp -d /tmp/cl.XXXXXX`: a socket's path has 107 characters at most):
#   n1, n2, n3       each member's LXD_DIR; n1/unix.socket is an endpoint as good as n2/unix.socket
#   members          a line for each: name, address
#   busybox.tar.xz   an image of 1 MB (tests/busybox.sh)
# A cluster that runs is left as it is. stop is no obstacle to a cluster that lost members or is gone already.
#
# Needs root.
set -euo pipefail

PACKAGES=(lxd lxd-client lxcfs dnsmasq-base iproute2 nftables iptables squashfs-tools uidmap attr acl rsync
    busybox-static jq xz-utils)
MEMBERS=(n1 n2 n3)

NAME=cluster
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/host.sh"
. "$here/busybox.sh"

# Its number is its place in the list.
address() { echo "10.213.0.${1#n}"; } # MEMBER

# A namespace's name on this machine: `cl-4711-n1`; the bridge's is `cl-4711-lan`.
space() { echo "$(cat "$dir/prefix")-$1"; } # MEMBER|lan

# A process that does nothing but keep a mount namespace, whose /sys shows the network namespace.
hold() { # MEMBER|lan PLACE…
    local holder=$dir/$1.holder
    "${@:2}" ip netns exec "$(space "$1")" setsid sleep infinity </dev/null >/dev/null 2>&1 &
    echo $! >"$holder"
    local try
    for try in {1..100}; do
        # It has become `sleep` when its namespaces are in place.
        [[ $(cat "/proc/$(cat "$holder")/comm" 2>/dev/null) == sleep ]] && return
        sleep 0.02
    done
    die "no namespace for $1"
}

# Runs a command, or a function of ours, where a member lives.
inside() { # MEMBER|lan COMMAND…
    local pid
    pid=$(live_pid "$dir/$1.holder" sleep) || die "$1 has no namespace: the cluster is not whole"
    if [[ $(type -t "$2") == function ]]; then
        nsenter -t "$pid" -m -n bash -c "set -euo pipefail; NAME=$NAME; . '$here/host.sh'; \"\$@\"" bash "${@:2}"
    else
        nsenter -t "$pid" -m -n "${@:2}"
    fi
}

# A member's own client: no remotes of the user's, no wait for a daemon that hangs.
member_lxc() { # MEMBER ARGUMENT…
    LXD_DIR=$dir/$1 LXD_CONF=$dir/client timeout 60 lxc --force-local "${@:2}" </dev/null
}

make_namespaces() {
    local member lan
    echo "cl-$$" >"$dir/prefix"
    lan=$(space lan)
    for member in "${MEMBERS[@]}" lan; do ip netns add "$(space "$member")"; done
    hold lan
    # What others mount and unmount from now on does not reach in here; nor do we care what is wrong with the
    # machine's own lxcfs.
    inside lan mount --make-rprivate /
    while quietly inside lan umount -l /var/lib/lxcfs; do :; done
    inside lan start_lxcfs "$dir/lxcfs.log" "$dir/lxcfs.pid"
    inside lan ip link add br0 type bridge
    inside lan ip link set br0 up
    for member in "${MEMBERS[@]}"; do
        # From inside of the first, so that its lxcfs is theirs too.
        hold "$member" nsenter -t "$(cat "$dir/lan.holder")" -m
        inside "$member" mount_cgroups
        ip link add cable netns "$(space "$member")" type veth peer name "$member" netns "$lan"
        inside lan ip link set "$member" master br0 up
        inside "$member" ip link set lo up
        inside "$member" ip link set cable up
        inside "$member" ip address add "$(address "$member")/24" dev cable
        echo "$member $(address "$member"):8443" >>"$dir/members"
    done
}

start_member() { # MEMBER
    mkdir -p "$dir/$1"
    chmod 711 "$dir/$1" # guests' root is nobody here and must reach its root file system
    inside "$1" start_lxd "$dir/$1" root "$dir/$1.log" "$dir/$1.pid"
}

found_cluster() {
    inside n1 env LXD_DIR="$dir/n1" lxd init --preseed <<END
config:
  core.https_address: $(address n1):8443
storage_pools: [{name: default, driver: dir}]
cluster: {server_name: n1, enabled: true}
END
}

join_cluster() { # MEMBER
    local token
    token=$(member_lxc n1 cluster add "$1" --quiet | tail -n 1)
    inside "$1" env LXD_DIR="$dir/$1" lxd init --preseed <<END
cluster:
  enabled: true
  server_address: $(address "$1"):8443
  cluster_token: $token
  member_config: [{entity: storage-pool, name: default, key: source, value: ""}]
END
}

start() {
    [[ $EUID -eq 0 ]] || die "LXD needs root"
    [[ ${#dir} -le 80 ]] || die "$dir is too long for a socket in it; use mktemp -d /tmp/cl.XXXXXX"
    if [[ -e $dir/whole ]]; then return; fi
    if [[ -e $dir && ! -e $dir/cluster && -n $(ls -A "$dir") ]]; then die "$dir holds something else"; fi
    install_packages "${PACKAGES[@]}"
    mkdir -p "$dir/client"
    chmod 711 "$dir"
    touch "$dir/cluster"
    echo 'default-remote: local' >"$dir/client/config.yml"
    make_namespaces
    local member
    for member in "${MEMBERS[@]}"; do start_member "$member"; done
    found_cluster
    for member in "${MEMBERS[@]:1}"; do join_cluster "$member"; done
    # The least that LXD takes: so many seconds after its death a member is offline.
    member_lxc n1 config set cluster.offline_threshold 11
    build_image "$dir"
    touch "$dir/whole"
}

# True if every daemon that runs says so of a member: Online, Offline, …
is_agreed() { # MEMBER STATUS
    local other said
    for other in "${MEMBERS[@]}"; do
        live_pid "$dir/$other.pid" lxd >/dev/null || continue
        said=$(member_lxc "$other" query '/1.0/cluster/members?recursion=1' 2>/dev/null |
            jq -r --arg name "$1" '.[] | select(.server_name == $name) | .status') || return 1
        [[ $said == "$2" ]] || return 1
    done
}

await() { # MEMBER STATUS
    local try
    for try in {1..300}; do
        is_agreed "$1" "$2" && return
        sleep 0.2
    done
    die "$1 is not $2 after a minute: $(member_lxc "$1" cluster list 2>&1)"
}

kill_member() { # MEMBER
    local pid
    pid=$(live_pid "$dir/$1.pid" lxd) || die "the daemon of $1 does not run"
    kill -KILL "$pid"
    wait_gone "$pid" 50
}

lost_member() { # MEMBER
    await "$1" Offline
}

revive_member() { # MEMBER
    live_pid "$dir/$1.pid" lxd >/dev/null || start_member "$1"
    await "$1" Online
}

# The control groups of a guest and its monitor, without those within: `lxc.payload.NAME`.
groups() { # PID
    cut -d: -f3 "/proc/$1/cgroup" 2>/dev/null | cut -d/ -f2 | grep '^lxc\.' | sort -u || true
}

# Guests first: their monitors end by themselves then.
end_processes() {
    local member pid guest pids group groups=()
    for member in "${MEMBERS[@]}"; do
        pids=$(ip netns pids "$(space "$member")" 2>/dev/null || true)
        for pid in $pids; do
            [[ $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) == '[lxc monitor]'* ]] || continue
            for guest in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
                mapfile -t -O "${#groups[@]}" groups < <(groups "$guest"; groups "$pid")
                quietly kill -KILL "$guest" || true
            done
            wait_gone "$pid" 20 || true
        done
        pids=$(ip netns pids "$(space "$member")" 2>/dev/null || true)
        [[ -z $pids ]] || quietly kill -KILL $pids || true
        for pid in $pids; do wait_gone "$pid" 50 || true; done
    done
    # A monitor takes them away only with the help of its daemon.
    for group in "${groups[@]}"; do
        find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -name "$group" | while read -r place; do
            find "$place" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        done
    done
    quietly kill -KILL "$(live_pid "$dir/lxcfs.pid" lxcfs)" || true
    quietly kill -KILL "$(live_pid "$dir/lan.holder" sleep)" || true
}

stop() {
    [[ -e $dir ]] || return 0
    [[ -e $dir/cluster ]] || die "$dir is no cluster of this script"
    local member
    if [[ -e $dir/prefix ]]; then
        end_processes
        for member in "${MEMBERS[@]}" lan; do quietly ip netns delete "$(space "$member")" || true; done
    fi
    rm -rf --one-file-system "$dir"
}

usage='usage: tests/cluster.sh start DIR | stop DIR | kill|lost|revive DIR MEMBER'
[[ $# -ge 2 ]] || die "$usage"
dir=$(realpath -m -- "$2")
[[ $dir == /?*/?* ]] || die "$dir: a directory of its own is needed"
case $1:$# in
    start:2 | stop:2) "$1" ;;
    kill:3 | lost:3 | revive:3)
        [[ -e $dir/whole && " ${MEMBERS[*]} " == *" $3 "* ]] || die "$dir has no member $3"
        "$1_member" "$3"
        ;;
    *) die "$usage" ;;
esac
