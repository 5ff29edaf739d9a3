#!/bin/sh
# Makes a Debian 12 image for LXD: `tests/debian.sh FILE`. It has systemd, a network by DHCP, and python3 (for the twin
# that Ansible provisions; lxdeploy itself needs nothing in the guest). Made once a machine, and kept in a cache.
set -eu
out=$1
cache=${LXDEPLOY_TEST_CACHE:-/var/cache/lxdeploy-tests}
kept=$cache/debian12-4.tar.gz
if [ ! -s "$kept" ]; then
    mkdir -p "$cache"
    if ! command -v mmdebstrap >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y install mmdebstrap >/dev/null
    fi
    work=$(mktemp -d "$cache/debian.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    packages=systemd-sysv,systemd-resolved,dbus,udev,iproute2,iputils-ping,python3,python3-apt,python3-debian,ca-certificates,cron,procps,sudo,openssh-client,curl,unzip,git,locales,tzdata,apt-utils
    mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\(http[^ ]*\) .*/\2/p; s/^URIs: *\(http[^ ]*\).*/\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
    mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" bookworm "$work/rootfs" "${mirror:-http://deb.debian.org/debian}"
    root=$work/rootfs
    printf '[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n\n[DHCPv4]\nUseDomains=true\n' > "$root/etc/systemd/network/10-eth0.network"
    for unit in systemd-networkd.service systemd-resolved.service; do
        [ ! -e "$root/lib/systemd/system/$unit" ] || systemctl --root="$root" enable "$unit" >/dev/null 2>&1
    done
    rm -f "$root/etc/resolv.conf"
    printf 'nameserver 127.0.0.53\n' > "$root/etc/resolv.conf"
    ln -sf ../run/systemd/resolve/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
    : > "$root/etc/machine-id"
    rm -f "$root/etc/hostname"
    for unit in systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer; do
        systemctl --root="$root" disable "$unit" >/dev/null 2>&1 || true
    done
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
    printf 'architecture: %s\ncreation_date: 1700000000\nproperties: {description: Debian 12, os: debian, release: bookworm}\ntemplates: {/etc/hostname: {when: [create, copy], template: hostname.tpl}}\n' "$(uname -m)" > "$work/metadata.yaml"
    mkdir -p "$work/templates"
    echo '{{ container.name }}' > "$work/templates/hostname.tpl"
    tar -C "$work" -czf "$kept.new" metadata.yaml templates rootfs
    mv "$kept.new" "$kept"
fi
cp --reflink=auto "$kept" "$out"
