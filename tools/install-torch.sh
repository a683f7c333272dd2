#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes a virtual environment with the newest PyTorch that is tested, beside the distribution's.
# Usage: tools/install-torch.sh DIR. Where PyPI cannot be reached it says so and the tests go without.
set -eu
version=2.13.0
directory=$1

give_up() {
    echo "The tests run with the distribution's PyTorch alone: $1" >&2
    rm -rf "$directory"
    exit 0
}

# What a few tests compare with; they are skipped without. Another list is another mark.
install_optional() {
    if [ -e "$directory/optional-2" ]; then return; fi
    "$directory/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 20 \
        scipy powerlaw==2.0.0 weightwatcher==0.7.7 tensorboard >>"$directory/log" 2>&1 || true
    touch "$directory/optional-2"
}

if [ -e "$directory/torch-$version" ]; then
    install_optional
    exit 0
fi
rm -rf "$directory"
mkdir -p "$(dirname "$directory")"
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -m venv "$directory" >/dev/null 2>&1 ||
    give_up "there is no python3-venv"
echo "Installing PyTorch $version from PyPI for the tests (once, some 200 MB)" >&2
"$directory/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 20 \
    "torch==$version" numpy h5py setuptools wheel >"$directory/log" 2>&1 ||
    give_up "pip cannot install torch==$version ($(tail -n 1 "$directory/log"))"
install_optional
touch "$directory/torch-$version"
