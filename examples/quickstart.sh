#!/usr/bin/env bash
# From nothing to three connected containers: `examples/quickstart.sh`.
#
# 1. Uses the LXD that is there. If there is none, installs the distribution's packages (Debian, Ubuntu) and,
#    where no init system would do it, starts the daemon by hand.
# 2. Builds a small Debian 12 image (a minute; kept in examples/quickstart/dist/).
# 3. Builds lxdeploy (some minutes, the first time). LXDEPLOY=/path/to/lxdeploy uses that one instead.
# 4. Plans and applies examples/quickstart/site.yaml, shows its status, and calls one container from another.
#
# A second run finds everything in place and changes nothing.
# `--clean` takes away what this made: all objects of the site, the image file, and the daemon if it was
# started here. Packages stay.
#
# Needs root (LXD's packages and the image's files belong to root) and, for step 3, Rust.
set -euo pipefail

NAME=quickstart
root=$(realpath "$(dirname "$0")/..")
. "$root/tests/host.sh"
here=$root/examples/quickstart
dist=$here/dist
image=$dist/debian-12.tar.zst
export PATH=$PATH:$HOME/.cargo/bin:/snap/bin

answers() { quietly curl -s --max-time 10 --unix-socket "$1" http://lxd/1.0; }

# The socket of the local LXD, where lxdeploy and lxc look for it too.
find_socket() {
    local socket
    for socket in "${LXD_SOCKET:-}" "${LXD_DIR:+$LXD_DIR/unix.socket}" \
        /var/snap/lxd/common/lxd/unix.socket /var/lib/lxd/unix.socket; do
        if [[ -n $socket && -S $socket ]] && answers "$socket"; then echo "$socket"; return; fi
    done
    return 1
}

provide_lxd() {
    local socket
    command -v curl >/dev/null || install_packages curl
    if socket=$(find_socket); then
        say "using the LXD at $socket"
        return
    fi
    [[ -z ${LXD_SOCKET:-}${LXD_DIR:-} ]] || die "LXD_SOCKET or LXD_DIR is set, but no LXD answers there"
    install_packages lxd lxd-client lxcfs dnsmasq-base iproute2 nftables iptables squashfs-tools uidmap attr acl rsync xz-utils
    if [[ -d /run/systemd/system ]]; then
        systemctl start lxd.socket lxd.service
    elif ! find_socket >/dev/null; then
        say "starting LXD by hand, since no init system does; $0 --clean ends it"
        mkdir -p /var/lib/lxd
        mount_cgroups
        start_lxcfs "$dist/lxcfs.log" "$dist/lxcfs.pid"
        start_lxd /var/lib/lxd lxd "$dist/lxd.log" "$dist/lxd.pid"
    fi
    find_socket >/dev/null || die "LXD was installed, but does not answer"
}

# Debian with memcached and two small services; each starts only in the container that bears its name.
# shellcheck disable=SC2016 # mmdebstrap gives its hooks the new root as $1
build_image() {
    [[ -e $image ]] && return
    install_packages mmdebstrap zstd
    say "building $image"
    local work=$dist/build
    rm -rf "$work"
    mkdir -p "$work"
    # What this machine's apt needs to reach its mirrors, the image's needs too.
    { apt-config dump 2>/dev/null || true; } | grep -E '^Acquire::(https?::Proxy|Check-Valid-Until) ' >"$work/apt.conf" || true
    mmdebstrap --quiet --mode=root --variant=minbase --aptopt="$work/apt.conf" \
        --include=systemd-sysv,ifupdown,isc-dhcp-client,iproute2,memcached,python3,curl \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="cp -r --no-preserve=mode,ownership '$here/image/.' \"\$1\"" \
        --customize-hook='chroot "$1" systemctl enable quickstart-api.service quickstart-proxy.socket' \
        --customize-hook='chroot "$1" systemctl mask systemd-binfmt.service' \
        --customize-hook='rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
        bookworm "$work/rootfs"
    cat >"$work/metadata.yaml" <<END
architecture: $(uname -m)
creation_date: $(date +%s)
properties:
  os: debian
  release: bookworm
  description: Debian 12 for lxdeploy's quickstart
END
    tar -C "$work" --numeric-owner --zstd -cf "$image.part" metadata.yaml rootfs
    rm -rf "$work"
    mv "$image.part" "$image"
}

# The linker and the C compiler that one of the crates needs.
build_lxdeploy() {
    if [[ -n ${LXDEPLOY:-} ]]; then
        LXDEPLOY=$(realpath "$LXDEPLOY")
        return
    fi
    command -v cargo >/dev/null || die "Rust is missing: install it (https://rustup.rs), or name a built one by LXDEPLOY=PATH"
    command -v cc >/dev/null || install_packages gcc libc6-dev
    say "building lxdeploy"
    (cd "$root" && cargo build --release --locked)
    LXDEPLOY=${CARGO_TARGET_DIR:-$root/target}/release/lxdeploy
}

# Shows a command and runs it.
show() { printf '\n$ %s\n' "${*/#$LXDEPLOY/lxdeploy}"; }
run() { show "$@"; "$@"; }

prove() {
    command -v lxc >/dev/null || die "the site runs, but \`lxc\` is missing to try it with"
    quietly lxc query /1.0 || true # the first call of all greets its user
    run lxc exec memcached --project quickstart -- curl -sS --fail --max-time 10 http://proxy.lxd/
}

clean() {
    local pid
    if [[ -e $dist/lxd.pid ]] && ! live_pid "$dist/lxd.pid" lxd >/dev/null; then
        say "the daemon that was started here has ended; starting it once more to clean up"
        provide_lxd
    fi
    if find_socket >/dev/null; then
        # What is built already will do.
        local built=${CARGO_TARGET_DIR:-$root/target}/release/lxdeploy
        [[ -n ${LXDEPLOY:-} || ! -x $built ]] || LXDEPLOY=$built
        build_lxdeploy
        # The image file is part of the site, and the site is read before it is destroyed.
        run "$LXDEPLOY" destroy --yes --delete-data "$site"
    else
        say "no LXD answers, so nothing of the site is left to destroy"
    fi
    if pid=$(live_pid "$dist/lxd.pid" lxd); then
        end_process "$pid"
        unmount_below /var/lib/lxd
        end_lxcfs "$dist/lxcfs.pid"
        say "ended the LXD that was started here; /var/lib/lxd stays, with its empty database"
    fi
    rm -rf "$dist"
    say "clean; packages that were installed stay (apt-get purge lxd takes LXD away)"
}

case "${1:-}" in
    '' | --clean) ;;
    *) die "usage: examples/quickstart.sh [--clean]" ;;
esac
[[ $EUID -eq 0 ]] || die "run it as root: sudo -E $0 $*"
site=${here#"$PWD/"}/site.yaml
if [[ ${1:-} == --clean ]]; then
    clean
    exit
fi
mkdir -p "$dist"
provide_lxd
build_image
build_lxdeploy
run "$LXDEPLOY" plan "$site"
show "$LXDEPLOY" apply --yes "$site"
"$LXDEPLOY" apply --yes "$site" >"$dist/plan.out" # on stdout it is the plan, which was shown already
run "$LXDEPLOY" status "$site"
prove
say "next: change examples/quickstart/site.yaml and run \`lxdeploy apply\`; examples/quickstart.sh --clean takes it away"
