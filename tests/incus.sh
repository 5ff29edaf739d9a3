# Incus out of Debian's packages, unpacked beside the machine's own: nothing is installed, no service starts, and
# apt's own configuration and lists stay as they are. Sourced by tests/bed.sh after tests/host.sh.
# shellcheck shell=bash

# Fetched once per machine; remove it to have a newer one.
INCUS_ROOT=/var/cache/lxdeploy-tests/incus

# Where this machine's apt finds Debian itself, one `URI SUITE` a line; a mirror is taken as it stands.
debian_sources() {
    local codename
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$codename" '$2 == suite && $3 == "main" {print $1, suite}' | sort -u
}

# Incus, and what it needs and is not installed here. Debian 12 has it in its backports.
unpack_incus() {
    [[ -d $INCUS_ROOT ]] && return
    local work sources signed="" package
    sources=$(debian_sources)
    [[ -n $sources ]] || { apt-get update -qq >&2; sources=$(debian_sources); }
    [[ -n $sources ]] || die "apt knows no source of Debian itself, so none of Incus"
    mkdir -p "$(dirname "$INCUS_ROOT")"
    work=$(mktemp -d "$INCUS_ROOT.XXXXXX")
    mkdir -p "$work"/{root,lists/partial,cache/archives/partial}
    [[ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
    say "fetching Incus"
    sed "s#.*#deb $signed& main#" <<<"$sources" >"$work/sources.list"
    own_apt "$work" apt-get -qq update >&2
    if [[ $(own_apt "$work" apt-cache policy incus-base) != *Candidate:\ [0-9]* ]]; then
        sed "s#.*#deb $signed&-backports main#" <<<"$sources" >>"$work/sources.list"
        own_apt "$work" apt-get -qq update >&2
    fi
    own_apt "$work" apt-get -qq install -y --download-only --no-install-recommends incus-base >/dev/null
    for package in "$work"/cache/archives/*.deb; do dpkg -x "$package" "$work/root"; done
    [[ -x $work/root/usr/libexec/incus/incusd ]] || die "no incusd in Debian's package incus-base"
    chmod 755 "$work/root"
    # Another bed may have been as quick.
    mv -T "$work/root" "$INCUS_ROOT" 2>/dev/null || [[ -d $INCUS_ROOT ]]
    rm -rf "$work"
}

# apt with sources, lists and archives of its own. What is installed it reads from the machine.
own_apt() { # DIRECTORY PROGRAM ARGUMENT…
    DEBIAN_FRONTEND=noninteractive "$2" -oDir::Etc::sourcelist="$1/sources.list" -oDir::Etc::sourceparts=/dev/null \
        -oDir::State::lists="$1/lists" -oDir::Cache="$1/cache" -oAcquire::Languages=none -oAPT::Sandbox::User=root "${@:3}"
}

start_incus() { # DIRECTORY GROUP LOG PIDFILE
    local root=$INCUS_ROOT libraries
    libraries=$(find "$root" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
    local environment=(INCUS_DIR="$1" PATH="$root/usr/bin:$PATH" LD_LIBRARY_PATH="$libraries")
    env "${environment[@]}" setsid "$root/usr/libexec/incus/incusd" --group "$2" --logfile "$3" </dev/null >"$3.out" 2>&1 &
    echo $! >"$4"
    env "${environment[@]}" "$root/usr/libexec/incus/incusd" waitready --timeout=60 ||
        die "Incus does not start: $(tail -n 20 "$3" "$3.out")"
}
