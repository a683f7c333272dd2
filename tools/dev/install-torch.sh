#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes a virtual environment with the newest PyTorch that is tested, beside the distribution's.
# Usage: tools/dev/install-torch.sh DIR. Where it is not to be had it says so and the tests go without.
# NAUHA_TRITON=1 installs Triton, too, which the tests of fingerprints made on GPUs need: 1 GB on the disk.
# NAUHA_TORCH_CUDA=1 takes what PyPI has, which may be a build for CUDA, of several GB; else it is one
# for processors alone: only they are called VERSION+cpu.
set -eu
version=2.13.0
index=https://download.pytorch.org/whl/cpu
directory=$1

give_up() {
    echo "The tests run with the distribution's PyTorch alone: $1" >&2
    rm -rf "$directory"
    exit 0
}

# What a few tests compare with or record; they are skipped without. Another list is another mark.
install_optional() {
    if [ -e "$directory/optional-4" ]; then return; fi
    "$directory/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 20 \
        scipy powerlaw==2.0.0 weightwatcher==0.7.7 tensorboard transformers lightning accelerate peft >>"$directory/log" 2>&1 || true
    touch "$directory/optional-4"
}

install_triton() {
    if [ -n "${NAUHA_TRITON-}" ] && [ ! -e "$directory/triton" ]; then
        "$directory/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 20 triton >>"$directory/log" 2>&1 &&
            touch "$directory/triton" || echo "pip cannot install Triton: see $directory/log" >&2
    fi
}

if [ -e "$directory/torch-$version" ]; then
    install_optional
    install_triton
    exit 0
fi
rm -rf "$directory"
mkdir -p "$(dirname "$directory")"
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -m venv "$directory" >/dev/null 2>&1 ||
    give_up "there is no python3-venv"
pip_install() {
    "$directory/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 20 "$@" >"$directory/log" 2>&1
}
said() { sed -n 's/^ERROR: *//p' "$directory/log" | tail -n 1; }
if [ -n "${NAUHA_TORCH_CUDA-}" ]; then
    echo "Installing PyTorch $version from PyPI for the tests (once; a build for CUDA is several GB)" >&2
    pip_install "torch==$version" numpy h5py setuptools wheel ||
        give_up "pip cannot install torch==$version ($(said))"
else
    echo "Installing PyTorch $version for processors alone, for the tests (once, some 200 MB)" >&2
    pip_install --no-deps --extra-index-url "$index" "torch==$version+cpu" ||
        give_up "pip finds no torch==$version+cpu for this Python, neither at $index nor where it is set to look
($(said)). NAUHA_TORCH_CUDA=1 takes the build of PyPI, which may be several GB."
    pip_install "torch==$version+cpu" numpy h5py setuptools wheel ||
        give_up "pip cannot install what torch==$version+cpu, numpy and h5py need ($(said))"
fi
install_optional
install_triton
touch "$directory/torch-$version"
