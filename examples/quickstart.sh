#!/usr/bin/env bash
# From nothing to the standard platform, serving: `examples/quickstart.sh`.
#
# 1. Uses the LXD that is there. If there is none, installs the distribution's packages (Debian, Ubuntu) and,
#    where no init system would do it, starts the daemon by hand.
# 2. Builds a small Debian 12 image (a minute; kept in examples/standard/dist/).
# 3. Builds lxdeploy (some minutes, the first time). LXDEPLOY=/path/to/lxdeploy uses that one instead.
# 4. Generates the site's secrets, plans and applies examples/sites/local.yaml, and calls the platform: without a token,
#    and with one of the stand-in for an identity provider.
#
# A second run finds everything in place and changes nothing.
# `--clean` takes away what this made: all objects of the site, its secrets, the image file, and the daemon if it was
# started here. Packages stay.
#
# Needs root (LXD's packages and the image's files belong to root) and, for step 3, Rust.
set -euo pipefail

NAME=quickstart
root=$(realpath "$(dirname "$0")/..")
. "$root/tests/host.sh"
dist=$root/examples/standard/dist
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

# Debian with an address by DHCP, and what the roles of the platform begin with.
# shellcheck disable=SC2016 # mmdebstrap gives its hooks the new root as $1
build_image() {
    [[ -e $image ]] && return
    install_packages mmdebstrap zstd
    say "building $image"
    local work=$dist/build
    rm -rf "$work"
    mkdir -p "$work/templates"
    # What this machine's apt needs to reach its mirrors, the image's needs too.
    { apt-config dump 2>/dev/null || true; } | grep -E '^Acquire::(https?::Proxy|Check-Valid-Until) ' >"$work/apt.conf" || true
    printf '[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n\n[DHCPv4]\nUseDomains=true\n' >"$work/eth0.network"
    mmdebstrap --quiet --mode=root --variant=minbase --aptopt="$work/apt.conf" \
        --include=systemd-sysv,systemd-resolved,udev,dbus,iproute2,ca-certificates,curl,python3 \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="cp '$work/eth0.network' \"\$1/etc/systemd/network/\"" \
        --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd.service systemd-resolved.service' \
        --customize-hook='chroot "$1" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer' \
        --customize-hook='ln -sf ../run/systemd/resolve/resolv.conf "$1/etc/resolv.conf"' \
        --customize-hook=': >"$1/etc/machine-id"; rm -f "$1/etc/hostname" "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
        bookworm "$work/rootfs"
    cat >"$work/metadata.yaml" <<END
architecture: $(uname -m)
creation_date: $(date +%s)
properties:
  os: debian
  release: bookworm
  description: Debian 12, the platform's base
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
END
    echo '{{ container.name }}' >"$work/templates/hostname.tpl"
    tar -C "$work" --numeric-owner --zstd -cf "$image.part" metadata.yaml templates rootfs
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

# The platform is called as its clients call it.
prove() {
    local url=https://standard.localhost:8443/api/whoami ca=$dist/ca.pem token
    "$LXDEPLOY" secrets get "$site" ca >"$ca"
    say "without a token:"
    call 401 --cacert "$ca" "$url"
    say "with a token of the stand-in provider:"
    token=$(curl -sS --fail --cacert "$ca" --resolve issuer.lxd:8443:10.78.0.11 \
        --data grant_type=client_credentials --data client_id=trial --data scope=api://standard/.default \
        --data-urlencode "client_secret=$("$LXDEPLOY" secrets get "$site" trial_client_secret)" \
        https://issuer.lxd:8443/trial/oauth2/v2.0/token | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
    call 200 --cacert "$ca" --header "Authorization: Bearer $token" "$url"
}

# Calls the platform, shows what it says, and insists on the status.
call() { # STATUS ARGUMENT…
    local said
    # shellcheck disable=SC2001 # no pattern of the shell's says this
    printf '\n$ curl --include %s\n' "$(sed 's/Bearer [^ ]*/Bearer …/' <<<"${*:2}")"
    said=$(curl -sS --include --max-time 20 --resolve standard.localhost:8443:127.0.0.1 "${@:2}" | tr -d '\r')
    grep -iE '^(HTTP/|www-authenticate:|\{)' <<<"$said"
    [[ $said == HTTP/*" $1"* ]] || die "the platform answers otherwise than with $1"
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
        # Its stamp is enough to find what is the site's own, whatever has become of its file and secrets.
        run "$LXDEPLOY" destroy --yes --delete-data --site local
        rm -f "${XDG_STATE_HOME:-$HOME/.local/state}/lxdeploy/local.secrets.yaml"
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
site=$root/examples/sites/local.yaml
site=${site#"$PWD/"}
if [[ ${1:-} == --clean ]]; then
    clean
    exit
fi
mkdir -p "$dist"
provide_lxd
build_image
build_lxdeploy
run "$LXDEPLOY" secrets generate "$site"
run "$LXDEPLOY" apply --yes "$site"
run "$LXDEPLOY" status "$site"
prove
cat <<END

The standard platform serves at https://standard.localhost:8443. What to try next:
  lxdeploy plan $site --var api_workers=5    # what another input would change
  lxdeploy apply $site --var api_count=3     # one more API instance
  lxdeploy graph $site                       # what needs what
  lxdeploy image bake $site api              # later instances start from what the roles installed
Copy examples/sites/acme.yaml for a customer of your own. examples/quickstart.sh --clean takes all of it away.
END
