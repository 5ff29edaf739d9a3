//! The one question that all facts are made of: POSIX sh, for Debian, Alpine and busybox.

/// Sections `=== NAME` and what follows each. `$1` is the directory of local facts.
pub const SCRIPT: &str = r#"
section() { printf '\n=== %s\n' "$1"; }
show() { section "$2"; [ -r "$1" ] && cat "$1" 2>/dev/null; }
has() { command -v "$1" >/dev/null 2>&1; }
show /etc/os-release os_release
show /etc/debian_version debian_version
show /etc/alpine-release alpine_release
show /etc/redhat-release redhat_release
section uname; uname -s; uname -n; uname -r; uname -m; uname -v
section fqdn; hostname -f 2>/dev/null || uname -n
section bits; getconf LONG_BIT 2>/dev/null
show /proc/meminfo meminfo
show /proc/cpuinfo cpuinfo
section nproc; nproc 2>/dev/null
show /proc/uptime uptime
show /proc/cmdline cmdline
show /proc/loadavg loadavg
section init; readlink /proc/1/exe 2>/dev/null; cat /proc/1/comm 2>/dev/null; [ -d /run/systemd/system ] && echo systemd
[ -e /sbin/openrc ] || [ -e /sbin/openrc-run ] && echo openrc
section pkg
for tool in apt-get dnf yum apk zypper pacman; do has "$tool" && echo "$tool"; done
section python
for python in /usr/bin/python3 /usr/bin/python; do
    [ -x "$python" ] && { echo "$python"; "$python" -c 'import sys
print("%d.%d.%d" % sys.version_info[:3]); print(sys.executable); print(sys.implementation.name); print(*sys.version_info)' 2>/dev/null; break; }
done
section user
id -u; id -g; id -un 2>/dev/null
name=$(id -un 2>/dev/null); grep "^$name:" /etc/passwd 2>/dev/null | head -n 1
section env; env
section mounts; cat /proc/mounts 2>/dev/null
section sizes
while read -r device mount kind rest; do
    case $device:$kind in /*|*:/*|*:zfs|*:btrfs|*:fuseblk) printf '%s %s\n' "$(stat -f -c '%a %b %c %d %s %S' "$mount" 2>/dev/null)" "$mount" ;; esac
done < /proc/mounts
section selinux; if [ -d /sys/fs/selinux ] && has getenforce; then getenforce; fi
section apparmor; [ -d /sys/kernel/security/apparmor ] && echo enabled
show /proc/sys/crypto/fips_enabled fips
show /etc/machine-id machine_id
show /etc/resolv.conf resolv
section dmi
for name in product_name product_serial product_uuid product_version sys_vendor bios_date bios_version bios_vendor board_name board_vendor chassis_vendor; do
    [ -r "/sys/class/dmi/id/$name" ] && printf '%s=%s\n' "$name" "$(cat "/sys/class/dmi/id/$name" 2>/dev/null)"
done
section virt; cat /run/systemd/container 2>/dev/null; tr '\0' '\n' < /proc/1/environ 2>/dev/null | grep '^container='; [ -e /.dockerenv ] && echo docker; [ -e /dev/lxd/sock ] && echo lxd
section links
for link in /sys/class/net/*; do
    [ -e "$link/address" ] || continue
    printf 'link %s mac=%s mtu=%s state=%s type=%s speed=%s bridge=%s\n' "${link##*/}" "$(cat "$link/address" 2>/dev/null)" "$(cat "$link/mtu" 2>/dev/null)" \
        "$(cat "$link/operstate" 2>/dev/null)" "$(cat "$link/type" 2>/dev/null)" "$(cat "$link/speed" 2>/dev/null)" "$([ -d "$link/bridge" ] && echo 1)"
done
section addresses
if has ip; then ip -o addr show 2>/dev/null || ip addr show 2>/dev/null; else ifconfig -a 2>/dev/null; fi
section routes4; has ip && ip -4 route show 2>/dev/null
section source4; has ip && ip -4 route get 8.8.8.8 2>/dev/null
section source6; has ip && ip -6 route get 2404:6800:400a:800::1012 2>/dev/null
section date; date '+%Y %m %d %H %M %S %w %j %U %Z %z %A' 2>/dev/null; date -u '+%Y-%m-%dT%H:%M:%S' 2>/dev/null; date +%s
section lsb; has lsb_release && lsb_release -a 2>/dev/null
section chroot; [ "$(stat -c %i / 2>/dev/null)" ] && stat -c '%i %d' / /proc/1/root/. 2>/dev/null
for kind in rsa dsa ecdsa ed25519; do
    [ -r "/etc/ssh/ssh_host_${kind}_key.pub" ] && { section "sshkey $kind"; cat "/etc/ssh/ssh_host_${kind}_key.pub"; }
done
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
