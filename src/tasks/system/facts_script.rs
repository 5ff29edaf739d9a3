//! The one question that all facts are made of: POSIX sh, for Debian, Alpine and busybox.

/// Sections `=== NAME` and what follows each. `$1` is the directory of local facts.
pub const SCRIPT: &str = r#"
section() { printf '\n=== %s\n' "$1"; }
has() { command -v "$1" >/dev/null 2>&1; }
# Every process costs a millisecond: what can be read together is read by one.
section files
grep -sH '' /etc/os-release /etc/debian_version /etc/alpine-release /etc/redhat-release /etc/machine-id /etc/resolv.conf \
    /proc/meminfo /proc/cpuinfo /proc/uptime /proc/cmdline /proc/loadavg /proc/1/comm /proc/sys/crypto/fips_enabled \
    /proc/mounts /run/systemd/container /etc/ssh/ssh_host_rsa_key.pub /etc/ssh/ssh_host_dsa_key.pub \
    /etc/ssh/ssh_host_ecdsa_key.pub /etc/ssh/ssh_host_ed25519_key.pub /sys/class/dmi/id/product_name \
    /sys/class/dmi/id/product_serial /sys/class/dmi/id/product_uuid /sys/class/dmi/id/product_version \
    /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/bios_date /sys/class/dmi/id/bios_version \
    /sys/class/dmi/id/bios_vendor /sys/class/dmi/id/board_name /sys/class/dmi/id/board_vendor \
    /sys/class/dmi/id/chassis_vendor /sys/class/net/*/address /sys/class/net/*/mtu /sys/class/net/*/operstate \
    /sys/class/net/*/type /sys/class/net/*/speed
section uname; for word in $(uname -snrm); do echo "$word"; done; uname -v
section fqdn; hostname -f 2>/dev/null || uname -n
section bits; getconf LONG_BIT 2>/dev/null
section nproc; nproc 2>/dev/null
section init; readlink /proc/1/exe 2>/dev/null; [ -d /run/systemd/system ] && echo systemd
[ -e /sbin/openrc ] || [ -e /sbin/openrc-run ] && echo openrc
section pkg
for tool in apt-get dnf yum apk zypper pacman; do has "$tool" && echo "$tool"; done
section python
for python in /usr/bin/python3 /usr/bin/python; do
    [ -x "$python" ] && { echo "$python"; "$python" -I -S -c 'import sys
print("%d.%d.%d" % sys.version_info[:3]); print(sys.executable); print(sys.implementation.name); print(*sys.version_info)' 2>/dev/null; break; }
done
section user
user=$(id -u); echo "$user"; id -g
if [ "$user" = 0 ]; then name=root; else name=$(id -un 2>/dev/null); fi
echo "$name"; grep "^$name:" /etc/passwd 2>/dev/null
section env; env
section sizes
while read -r device mount kind rest; do
    case $device:$kind in /*|*:/*|*:zfs|*:btrfs|*:fuseblk) printf '%s %s\n' "$(stat -f -c '%a %b %c %d %s %S' "$mount" 2>/dev/null)" "$mount" ;; esac
done < /proc/mounts
section selinux; if [ -d /sys/fs/selinux ] && has getenforce; then getenforce; fi
section apparmor; [ -d /sys/kernel/security/apparmor ] && echo enabled
section virt; tr '\0' '\n' < /proc/1/environ 2>/dev/null | grep '^container='; [ -e /.dockerenv ] && echo docker; [ -e /dev/lxd/sock ] && echo lxd
section bridges
for link in /sys/class/net/*/bridge; do [ -d "$link" ] && echo "$link"; done
section addresses
if has ip; then ip -o addr show 2>/dev/null || ip addr show 2>/dev/null; else ifconfig -a 2>/dev/null; fi
section routes4; has ip && ip -4 route show 2>/dev/null
section source4; has ip && ip -4 route get 8.8.8.8 2>/dev/null
section source6; has ip && ip -6 route get 2404:6800:400a:800::1012 2>/dev/null
section date; date '+%Y %m %d %H %M %S %w %j %U %Z %z %A
%s' 2>/dev/null; date -u '+%Y-%m-%dT%H:%M:%S' 2>/dev/null
section lsb; has lsb_release && lsb_release -a 2>/dev/null
section chroot; stat -c '%i %d' / /proc/1/root/. 2>/dev/null
if [ -d "$1" ]; then
    section facts.d
    for file in "$1"/*.fact; do
        [ -f "$file" ] || continue
        name=${file##*/}; section "local ${name%.fact}"
        if [ -x "$file" ]; then "$file" 2>/dev/null; else cat "$file"; fi
    done
fi
section end
exit 0"#;
