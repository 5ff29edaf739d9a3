# Incus out of Debian's packages, unpacked beside the machine's own: nothing is installed, no service starts, and
# apt's own configuration and lists stay as they are. Sourced by tests/bed.sh after tests/host.sh.
# shellcheck shell=bash

# Fetched once per machine; remove it to have a newer one.
INCUS_ROOT=/var/cache/lxdeploy-tests/incus

# Where this machine's apt finds Debian itself, one `URI SUITE` a line; a mirror is taken as it stands.
debian_sources() {
    local codename
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # Sources that were never updated have no codename yet; their release is what the file says.
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$codename" '($2 == suite || $3 == suite) && $4 == "main" {print $1, suite}' | sort -u
}

# Incus, and what it needs and is not installed here. Debian 12 has it in its backports.
unpack_incus() {
    [[ -d $INCUS_ROOT ]] && return
    local work sources uri suite signed= release=() package
    sources=$(debian_sources)
    [[ -n $sources ]] || die "apt knows no source of Debian itself, so none of Incus"
    mkdir -p "$(dirname "$INCUS_ROOT")"
    work=$(mktemp -d "$INCUS_ROOT.XXXXXX")
    mkdir -p "$work"/{root,lists/partial,cache/archives/partial}
    [[ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
    while read -r uri suite; do
        echo "deb $signed$uri $suite main"
        # Where the release itself has it, its backports are not asked.
        [[ $(apt_candidate incus-base) == *[0-9]* ]] || echo "deb $signed$uri $suite-backports main"
    done <<<"$sources" >"$work/sources.list"
    suite=$(awk '$(NF - 1) ~ /-backports$/ {print $(NF - 1); exit}' "$work/sources.list")
    [[ -z $suite ]] || release=(-t "$suite")
    say "fetching Incus"
    own_apt "$work" -qq update >&2
    own_apt "$work" -qq "${release[@]}" install -y --download-only --no-install-recommends incus-base >/dev/null
    for package in "$work"/cache/archives/*.deb; do dpkg -x "$package" "$work/root"; done
    [[ -x $work/root/usr/libexec/incus/incusd ]] || die "no incusd in Debian's package incus-base"
    chmod 755 "$work/root"
    # Another bed may have been as quick.
    mv -T "$work/root" "$INCUS_ROOT" 2>/dev/null || [[ -d $INCUS_ROOT ]]
    rm -rf "$work"
}

# The version that apt would install; `(none)` or nothing where it knows none.
apt_candidate() { # PACKAGE
    apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" {print $2}'
}

# apt-get with sources, lists and archives of its own. What is installed it reads from the machine.
own_apt() { # DIRECTORY ARGUMENT…
    local own=(sourcelist="$1/sources.list" sourceparts=/dev/null)
    DEBIAN_FRONTEND=noninteractive apt-get "${own[@]/#/-oDir::Etc::}" -oDir::State::lists="$1/lists" \
        -oDir::Cache="$1/cache" -oAPT::Get::List-Cleanup=false -oAcquire::Languages=none \
        -oAPT::Sandbox::User=root "${@:2}"
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
