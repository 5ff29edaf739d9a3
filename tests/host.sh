# What it takes to run LXD on a machine where nobody else looks after it: packages, cgroups, lxcfs, processes.
# Sourced by tests/bed.sh and examples/quickstart.sh, which set NAME, the word before their messages.
# shellcheck shell=bash

say() { echo "$NAME: $*" >&2; }
die() { say "$@"; exit 1; }
quietly() { "$@" >/dev/null 2>&1; }

# Debian's packages, those that are missing.
install_packages() { # PACKAGE…
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "missing: ${missing[*]} (only Debian's packages are installed by this script)"
    say "installing ${missing[*]}"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# An init system has done this long before; a bare machine may have none.
mount_cgroups() {
    quietly mountpoint /sys/fs/cgroup && return
    local controllers controller
    # What the kernel holds in version 1 cannot be had in version 2 at the same time.
    controllers=$(awk '!/^#/ && $2 != 0 && $4 == 1 {print $1}' /proc/cgroups 2>/dev/null || true)
    if [[ -z $controllers ]]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        return
    fi
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for controller in $controllers; do
        mkdir -p "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
    mkdir -p /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
}

# Writes its pid only if it was started here.
start_lxcfs() { # LOG PIDFILE
    quietly mountpoint /var/lib/lxcfs && return
    # The mount of one that has died is still there, and nothing can be made of it.
    if grep -q ' /var/lib/lxcfs ' /proc/mounts; then quietly umount -l /var/lib/lxcfs || true; fi
    mkdir -p /var/lib/lxcfs
    # By default all lxcfs of a machine share one pid file, also those of other mount namespaces.
    setsid lxcfs --pidfile="$2.own" /var/lib/lxcfs </dev/null >"$1" 2>&1 &
    echo $! >"$2"
    local try
    for try in {1..50}; do
        quietly mountpoint /var/lib/lxcfs && return
        sleep 0.1
    done
    die "lxcfs does not start: $(cat "$1")"
}

end_lxcfs() { # PIDFILE
    local pid
    pid=$(live_pid "$1" lxcfs) || return 0
    end_process "$pid"
    quietly umount -l /var/lib/lxcfs || true
}

start_lxd() { # DIRECTORY GROUP LOG PIDFILE
    LXD_DIR=$1 setsid lxd --group "$2" --logfile "$3" </dev/null >"$3.out" 2>&1 &
    echo $! >"$4"
    LXD_DIR=$1 lxd waitready --timeout=60 || die "LXD does not start: $(tail -n 20 "$3" "$3.out")"
}

# A process that nobody reaped is dead all the same.
is_alive() { # PID
    local state
    state=$(awk '/^State:/ {print $2}' "/proc/$1/status" 2>/dev/null) && [[ -n $state && $state != [ZX] ]]
}

# The pid in a file, if it is that of a live process of this name.
live_pid() { # FILE NAME
    local pid
    pid=$(cat "$1" 2>/dev/null) && [[ -n $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == "$2" ]] && is_alive "$pid" && echo "$pid"
}

wait_gone() { # PID TENTHS
    local try
    for ((try = 0; try < $2; try++)); do
        is_alive "$1" || return 0
        sleep 0.1
    done
    return 1
}

end_process() { # PID
    quietly kill -TERM "$1" || return 0
    wait_gone "$1" 300 || { quietly kill -KILL "$1" || true; wait_gone "$1" 50 || true; }
}

# Everything that is mounted below a directory, the deepest first.
unmount_below() { # DIRECTORY
    local point
    awk -v dir="$1/" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | tac | while read -r point; do
        umount "$point" 2>/dev/null || umount -l "$point" || true
    done
}
