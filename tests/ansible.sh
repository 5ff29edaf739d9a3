#!/bin/sh
# Ansible from PyPI, for what lxdeploy is compared with: prints the directory of a Python environment that has it.
# LXDEPLOY_TEST_ANSIBLE names one that is there already.
set -eu
if [ -n "${LXDEPLOY_TEST_ANSIBLE-}" ]; then echo "$LXDEPLOY_TEST_ANSIBLE"; exit; fi
# ansible-core 2.19 with community.general, whose connection speaks to LXD; what its filters need.
packages='ansible==12.* netaddr==1.3.* passlib==1.7.*'
cache=${LXDEPLOY_TEST_CACHE:-/var/cache/lxdeploy-tests}
venv=$cache/ansible-$(echo "$packages" | cksum | cut -d ' ' -f 1)
if [ ! -e "$venv/complete" ]; then
    mkdir -p "$cache"
    python3 -c 'import ensurepip' 2>/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq -y install python3-venv >/dev/null
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    # shellcheck disable=SC2086 # a word each
    "$venv/bin/pip" install --quiet $packages >&2 || { rm -rf "$venv"; echo "Ansible cannot be had from PyPI" >&2; exit 1; }
    : >"$venv/complete"
fi
echo "$venv"
