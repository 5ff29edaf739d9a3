#!/usr/bin/env bash
# A private LXD or Incus daemon to test against: `tests/bed.sh start DIR [lxd|incus]`, `tests/bed.sh stop DIR`.
#
# DIR is the daemon's whole world (its LXD_DIR or INCUS_DIR): database, pool, socket, logs. The machine's own LXD
# is never touched. Keep DIR short (`mktemp -d /tmp/lxd.XXXXXX`): a socket's path has 107 characters at most.
# Bridges are the machine's, so two beds at once must not use one bridge name or subnet.
#
# start  installs what Debian has to offer and is missing, starts the daemon, and leaves in DIR:
#          unix.socket      the API; clients find it by LXD_DIR=DIR, lxc those of an Incus too. Its group is
#                           lxd, whose members are as good as root anyway
#          busybox.tar.xz   an image of 1 MB that boots in a third of a second and asks for an address
#          lxd.pid, lxd.log the daemon's, be it LXD or Incus
#          https-address    where the daemon listens for HTTPS
#          trust-password   what enrols a client certificate there; Incus has no such thing
#          incus            on a bed of Incus, its own client
#        Incus is unpacked, not installed: see tests/incus.sh.
#        A bed that runs is left as it is; one whose daemon died is started again.
# stop   takes all of it away: instances, bridges, mounts, the daemon and DIR. A daemon that died is no
#        obstacle, nor is a bed that is gone already.
#
# Without a word about it, a new bed is of the kind that LXDEPLOY_TEST_KIND names. Needs root.
set -euo pipefail

PACKAGES=(lxd lxd-client lxd-tools lxcfs dnsmasq-base iproute2 nftables iptables squashfs-tools uidmap attr acl
    rsync busybox-static curl jq xz-utils)

NAME=bed
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/host.sh"
. "$here/busybox.sh"
. "$here/incus.sh"

# The bed's own client: no remotes of the user's, no wait for a daemon that hangs.
bed_lxc() { LXD_DIR=$dir LXD_CONF=$dir/client timeout 60 lxc --force-local "$@" </dev/null; }

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000)) # below what the kernel gives to outgoing connections
        [[ -n $(ss -Hltn "sport = :$port") ]] || break
    done
    echo "$port"
}

configure() {
    bed_lxc storage show default >/dev/null 2>&1 || bed_lxc storage create default dir >/dev/null
    if [[ ! -e $dir/https-address ]]; then
        local address
        address=127.0.0.1:$(free_port)
        bed_lxc config set core.https_address "$address"
        echo "$address" >"$dir/https-address"
    fi
    if [[ $kind == lxd && ! -e $dir/trust-password ]]; then
        (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/trust-password")
        bed_lxc config set core.trust_password "$(cat "$dir/trust-password")"
    fi
}

start() {
    [[ $EUID -eq 0 ]] || die "$kind needs root"
    [[ ${#dir} -le 80 ]] || die "$dir is too long for a socket in it; use mktemp -d /tmp/lxd.XXXXXX"
    if [[ -e $dir && ! -e $dir/bed && -n $(ls -A "$dir") ]]; then die "$dir holds something else"; fi
    [[ ! -s $dir/bed || $(cat "$dir/bed") == "$kind" ]] || die "$dir is a bed of $(cat "$dir/bed")"
    install_packages "${PACKAGES[@]}"
    mkdir -p "$dir"
    chmod 711 "$dir" # guests' root is nobody here and must reach its root file system
    echo "$kind" >"$dir/bed"
    mkdir -p "$dir/client"
    [[ -e $dir/client/config.yml ]] || echo 'default-remote: local' >"$dir/client/config.yml"
    mount_cgroups
    start_lxcfs "$dir/lxcfs.log" "$dir/lxcfs.pid"
    if [[ $kind == incus ]]; then
        unpack_incus
        ln -sfn "$INCUS_ROOT/usr/bin/incus" "$dir/incus"
        live_pid "$dir/lxd.pid" incusd >/dev/null || start_incus "$dir" lxd "$dir/lxd.log" "$dir/lxd.pid"
    else
        live_pid "$dir/lxd.pid" lxd >/dev/null || start_lxd "$dir" lxd "$dir/lxd.log" "$dir/lxd.pid"
    fi
    configure
    build_image "$dir"
}

# By the API, as long as the daemon answers: that also takes LXD's firewall rules away.
empty_daemon() {
    local project name
    quietly bed_lxc query /1.0 || return 0
    bed_lxc list --all-projects -f json |
        jq -r '.[] | select(.config["security.protection.delete"] == "true") | .project + " " + .name' |
        while read -r project name; do
            quietly bed_lxc config unset "$name" security.protection.delete --project "$project" || true
        done
    for project in $(bed_lxc project list -f json | jq -r '.[].name'); do
        bed_lxc list --project "$project" -f json | jq -r '.[].name' |
            LXD_DIR=$dir LXD_CONF=$dir/client xargs -r -P 4 -n 8 \
                timeout 120 lxc --force-local delete --force --project "$project" >/dev/null 2>&1 || true
    done
    # A network goes only when no profile uses it.
    for project in $(bed_lxc project list -f json | jq -r '.[].name'); do
        for name in $(bed_lxc profile list --project "$project" -f json | jq -r '.[].name'); do
            if [[ $name == default ]]; then
                echo '{}' | LXD_DIR=$dir LXD_CONF=$dir/client quietly lxc --force-local profile edit default --project "$project" || true
            else
                quietly bed_lxc profile delete "$name" --project "$project" || true
            fi
        done
    done
    for project in $(bed_lxc project list -f json | jq -r '.[].name'); do
        for name in $(bed_lxc network list --project "$project" -f json | jq -r '.[] | select(.managed) | .name'); do
            quietly bed_lxc network delete "$name" --project "$project" || true
        done
    done
}

# Processes of this bed, by their command line: `[lxc monitor] DIR/containers NAME`, dnsmasq, the daemon's forks.
leftovers() {
    local process comm words
    for process in /proc/[0-9]*; do
        comm=$(cat "$process/comm" 2>/dev/null) || continue
        [[ $comm == lxc* || $comm == '[lxc'* || $comm == lxd* || $comm == incusd || $comm == dnsmasq ]] || continue
        words=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) || continue
        [[ $words == *"$dir/"* ]] && echo "${process#/proc/}"
    done
    return 0
}

# What the API could not take away because the daemon died or refused.
sweep() {
    local pid path name chain link pids
    pids=$(leftovers)
    for pid in $pids; do
        # The child of a container's monitor is the container's init. The monitor cleans up and ends.
        xargs -r kill -KILL <"/proc/$pid/task/$pid/children" 2>/dev/null || true
    done
    for pid in $pids; do wait_gone "$pid" 20 || end_process "$pid"; done
    for path in "$dir"/networks/*/; do
        name=$(basename "$path")
        [[ -e /sys/class/net/$name/bridge ]] || continue
        for link in "/sys/class/net/$name/brif/"*; do
            [[ ! -e $link ]] || quietly ip link delete "$(basename "$link")" || true # containers' veths come back to us
        done
        quietly ip link delete "$name" || true
        for chain in $(nft list table inet "$kind" 2>/dev/null | awk -v net="$name" '$1 == "chain" && substr($2, index($2, ".") + 1) == net {print $2}'); do
            quietly nft delete chain inet "$kind" "$chain" || true
        done
    done
}

stop() {
    [[ -e $dir ]] || return 0
    [[ -e $dir/bed ]] || die "$dir is no bed of this script"
    kind=$(cat "$dir/bed")
    local pid daemon=lxd
    [[ $kind == lxd ]] || daemon=incusd
    if pid=$(live_pid "$dir/lxd.pid" "$daemon"); then
        empty_daemon || true
        end_process "$pid"
    fi
    sweep
    unmount_below "$dir"
    end_lxcfs "$dir/lxcfs.pid"
    rm -rf --one-file-system "$dir"
}

[[ ${1-} == start && ($# -eq 2 || $# -eq 3 && ($3 == lxd || $3 == incus)) || ${1-} == stop && $# -eq 2 ]] ||
    die "usage: tests/bed.sh start DIR [lxd|incus] | stop DIR"
dir=$(realpath -m -- "$2")
kind=${3:-$(cat "$dir/bed" 2>/dev/null || true)}
kind=${kind:-${LXDEPLOY_TEST_KIND:-lxd}}
[[ $dir == /?*/?* ]] || die "$dir: a directory of its own is needed"
"$1"
