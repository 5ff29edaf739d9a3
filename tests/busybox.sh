# busybox.tar.xz: an image of 1 MB that boots in a third of a second and asks for an address.
# Sourced by tests/bed.sh and tests/cluster.sh.
# shellcheck shell=bash

# Built the same way each time, so its fingerprint is the same in every bed.
build_image() { # DIRECTORY
    local dir=$1
    [[ -e $dir/busybox.tar.xz ]] && return
    local work=$dir/busybox.build root=$dir/busybox.build/rootfs applet
    mkdir -p "$root"/{bin,dev,etc,proc,root,run,sbin,sys,tmp,usr/bin,usr/share/udhcpc,var}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in $("$root/bin/busybox" --list); do
        [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
    done
    ln -s /bin/busybox "$root/sbin/init"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    cat >"$root/etc/inittab" <<'END'
::sysinit:/bin/busybox mount -t proc proc /proc
::sysinit:/etc/rc
::respawn:/bin/busybox sleep 100000
::ctrlaltdel:/bin/poweroff
END
    cat >"$root/etc/rc" <<'END'
#!/bin/sh
ip link set lo up
ip link set eth0 up 2>/dev/null && udhcpc -i eth0 -b -s /usr/share/udhcpc/default.script &
END
    cat >"$root/usr/share/udhcpc/default.script" <<'END'
#!/bin/sh
case "$1" in bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/$mask" dev "$interface"
    for r in $router; do ip route add default via "$r"; done
    for d in $dns; do echo "nameserver $d"; done >/etc/resolv.conf
    [ -z "$domain" ] || echo "search $domain" >>/etc/resolv.conf
    ;;
esac
END
    chmod 755 "$root/etc/rc" "$root/usr/share/udhcpc/default.script"
    cat >"$work/metadata.yaml" <<END
architecture: $(uname -m)
creation_date: 1700000000
properties:
  os: busybox
  description: busybox, for tests
END
    tar -C "$work" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf - metadata.yaml rootfs |
        xz -T1 -6 >"$dir/busybox.tar.part"
    mv "$dir/busybox.tar.part" "$dir/busybox.tar.xz"
    rm -rf "$work"
}
