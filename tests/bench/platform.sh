#!/usr/bin/env bash
# How long the standard platform takes from nothing until it serves, and how much it serves:
#
#   tests/bench/platform.sh [PART…] [--pairs N]
#
#   first     examples/standard without baked images   beside  its longest chain by hand: `lxc launch` and apt-get, one after
#                                                              the other, of memcached, an API and the proxy
#   baked     the same with the images of `lxdeploy image bake`: seconds until the first 200 with a token
#   again     applied again: seconds
#   requests  requests a second with a token, through the proxy and at one API instance, by wrk
#
# Without PART all of them. Of `first` every pair is shown; what counts is the median of their ratios. Nothing fails on a clock.
#
# It starts a private LXD by tests/bed.sh, so it needs root, and a Debian mirror.
# LXDEPLOY=/path/to/lxdeploy measures that one instead of building it.
set -euo pipefail

root=$(realpath "$(dirname "$(realpath "$0")")/../..")
NAME=bench
. "$root/tests/host.sh"
export PATH=$PATH:$HOME/.cargo/bin LC_ALL=C.UTF-8

pairs=3
parts=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --pairs) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 needs a number"; pairs=$2; shift ;;
        first | baked | again | requests) parts+=("$1") ;;
        *) die "usage: tests/bench/platform.sh [first] [baked] [again] [requests] [--pairs N]" ;;
    esac
    shift
done
[[ ${#parts[@]} -gt 0 ]] || parts=(first baked again requests)

. "$root/tests/bench/race.sh"
install_packages curl jq wrk zstd
bed=$(mktemp -d /tmp/lxd.XXXXXX)
"$root/tests/bed.sh" start "$bed"
export LXD_DIR=$bed LXD_CONF=$bed/client LXDEPLOY_REMOTE=unix:$bed/unix.socket XDG_STATE_HOME=$work/state
"$root/tests/debian.sh" "$work/debian.tar.gz"
cd "$work"
cat >site.yaml <<SITE
site: local
extends: $root/examples/standard/platform.yaml
inputs:
  domain: standard.localhost
  listen: 127.0.0.1:8443
  provider: stand-in
  trial: true
  audiences: [api://standard]
  image: $work/debian.tar.gz
SITE
lx() { "$lxdeploy" "$@" >>lxdeploy.log 2>&1 || { tail -n 30 lxdeploy.log >&2; die "lxdeploy $* failed"; }; }
inside() { lxc --force-local --project standard exec "$@"; }
since() { awk -v from="$1" -v to="$(date +%s.%N)" 'BEGIN {printf "%.1f", to - from}'; }

token() {
    curl -sS --fail --cacert ca.pem --resolve issuer.lxd:8443:10.78.0.11 --data grant_type=client_credentials \
        --data client_id=trial --data scope=api://standard/.default \
        --data-urlencode "client_secret=$("$lxdeploy" secrets get site.yaml trial_client_secret)" \
        https://issuer.lxd:8443/trial/oauth2/v2.0/token | jq -r .access_token
}

# From the start of an apply to the first request that is let in.
until_it_serves() {
    local from
    from=$(date +%s.%N)
    lx apply --yes site.yaml
    until [[ $(curl -s -o /dev/null -w '%{http_code}' --cacert ca.pem -H "Authorization: Bearer $(token)" \
        https://standard.localhost:8443/api/whoami) == 200 ]]; do sleep 0.1; done
    since "$from"
}

# What an operator would type, instance after instance of the chain; nobody configures anything.
by_hand() {
    local from name
    from=$(date +%s.%N)
    for name in memcached api identity-proxy; do
        lxc --force-local launch debian "hand-$name" -n hand0 -s default >/dev/null
        until lxc --force-local exec "hand-$name" -- getent hosts deb.debian.org >/dev/null 2>&1; do sleep 0.2; done
        lxc --force-local exec "hand-$name" -- apt-get -qq update
        case $name in
            memcached) set -- nftables memcached ;;
            api) set -- nftables python3-django gunicorn python3-jwt python3-cryptography python3-pymemcache ;;
            identity-proxy) set -- libssl3 nftables apache2 libapache2-mod-auth-openidc openssl ca-certificates ;;
        esac
        lxc --force-local exec "hand-$name" --env DEBIAN_FRONTEND=noninteractive -- \
            apt-get -qq -y --no-install-recommends install "$@" >/dev/null 2>&1
    done
    since "$from"
    for name in memcached api identity-proxy; do lxc --force-local delete -f "hand-$name" >&2; done
}

destroyed() { lx destroy --yes --delete-data site.yaml; }

lx secrets generate site.yaml
"$lxdeploy" secrets get site.yaml ca >ca.pem
for part in "${parts[@]}"; do
    case $part in
        first)
            lxc --force-local network create hand0 ipv4.address=10.77.9.1/24 ipv4.nat=true ipv6.address=none >/dev/null
            lxc --force-local image import debian.tar.gz --alias debian >/dev/null
            race 'the whole platform, from nothing until it serves, beside its longest chain by hand' "$pairs" s 1 \
                until_it_serves by_hand destroyed
            ;;
        baked)
            lx apply --yes site.yaml --target images.debian --target networks.inner --target profiles.alone --target profiles.base
            for instance in memcached issuer api identity-proxy; do lx image bake site.yaml $instance --compression zstd; done
            lxc --force-local --project standard image list --format csv -c lsd | grep baked
            # What stays is what is imported at a customer's: the project, its images, the network.
            for instance in $(lxc --force-local --project standard list --format csv -c n); do
                lxc --force-local --project standard delete -f "$instance"
            done
            echo "baked: $(until_it_serves) s"
            ;;
        again)
            lx apply --yes site.yaml
            from=$(date +%s.%N)
            lx apply --yes site.yaml
            echo "again: $(since "$from") s"
            ;;
        requests)
            lx apply --yes site.yaml
            header="Authorization: Bearer $(token)"
            echo "requests through the proxy: $(wrk -t 2 -c 16 -d 10s -H "$header" -H 'Host: standard.localhost' https://127.0.0.1:8443/api/whoami | awk '/Requests\/sec/ {print $2}')"
            inside identity-proxy -- sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install wrk' >/dev/null 2>&1
            echo "requests at an API instance: $(inside identity-proxy -- wrk -t 2 -c 16 -d 10s -H "$header" https://api-1.lxd:8443/api/whoami | awk '/Requests\/sec/ {print $2}')"
            ;;
    esac
done
