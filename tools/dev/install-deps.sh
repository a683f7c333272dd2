#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what the build, the demo and the tests need, and nothing that is there already.
# Usage: tools/dev/install-deps.sh [--list]
set -eu

# The one list of distribution packages (Debian 12 or later, Ubuntu 22.04 or later).
packages='
    gcc g++ make pkg-config
    libhdf5-dev libzstd-dev liblz4-dev libxxhash-dev uthash-dev libcjson-dev zlib1g-dev
    libprotobuf-c-dev protobuf-c-compiler
    libopenblas-pthread-dev liblapacke-dev
    libtorch-dev dataset-fashion-mnist
    gnuplot-nox fonts-dejavu-core
    libcmocka-dev python3 python3-numpy python3-h5py hdf5-tools
'
# Installed where the distribution has them: without, a few tests are skipped.
optional_packages='chromium zsh hdf5-filter-plugin python3-torch python3-venv libpython3-dev libopenmpi-dev openmpi-bin
    debhelper dpkg-dev man-db'
# What only the checks of contributors need: sanitizer and style runs, empty machines. Where the
# runtime of clang's sanitizers is no package of its own, it comes with clang.
contributor_packages='clang clang-format valgrind'
optional_contributor_packages='libclang-rt-dev lintian debootstrap'

case "${1-}" in
--list) printf '%s\n' $packages $optional_packages; exit 0 ;;
--contributor)
    packages="$packages $contributor_packages"
    optional_packages="$optional_packages $optional_contributor_packages"
    ;;
'') ;;
*) echo "usage: $0 [--list | --contributor]" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    # Not Debian or Ubuntu: go on only if the build's essentials are there already.
    if command -v cc >/dev/null 2>&1 && command -v pkg-config >/dev/null 2>&1 &&
        command -v protoc-c >/dev/null 2>&1 &&
        pkg-config --exists hdf5 libzstd liblz4 libxxhash libcjson libprotobuf-c cmocka; then
        exit 0
    fi
    {
        echo "This is not a Debian or Ubuntu system, so nothing was installed. Please install the"
        echo "equivalents of these packages and run the command again:"
        printf '  %s\n' $packages
    } >&2
    exit 3
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
is_missing() { ! printf '%s\n' "$installed" | grep -qxF -e "$1"; }
missing=
for package in $packages; do
    ! is_missing "$package" || missing="$missing $package"
done
for package in $optional_packages; do
    if is_missing "$package" && [ -n "$(apt-cache madison "$package" 2>/dev/null)" ]; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "These packages are missing, and installing them needs root or sudo:$missing" >&2
        exit 3
    fi
    as_root=sudo
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_them() {
    # shellcheck disable=SC2086 # the list is meant to be split
    $as_root apt-get install -y --no-install-recommends $missing >"$log" 2>&1
}
if ! install_them; then
    $as_root apt-get update >/dev/null # an old package list is the usual cause
    if ! install_them; then
        cat "$log" >&2
        echo "Installing the packages failed; the lines above say why." >&2
        exit 3
    fi
fi
