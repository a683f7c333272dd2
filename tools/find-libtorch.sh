#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints make variables for compiling and linking against libtorch; nothing where there is none.
# Usage: tools/find-libtorch.sh [DIR]
#   DIR     a libtorch (holding include/ and lib/), or the word "python" for python3's torch
#   no DIR  the distribution's libtorch-dev, else python3's torch
set -eu
wanted=${1-}

print_tree() { # include directory, library directory
    abi=1 # which C++ string type the libraries were built with
    if command -v nm >/dev/null 2>&1 &&
        ! nm -DC "$2/libc10.so" 2>/dev/null | grep -q 'c10::Error.*__cxx11'; then
        abi=0
    fi
    echo "TORCH_FOUND := $1"
    include="-isystem $1 -isystem $1/torch/csrc/api/include"
    search="-L$2 -Wl,-rpath,$2"
    if [ "$1" = /usr/include ]; then # the compiler's own directories must not be named again
        include="-isystem $1/torch/csrc/api/include"
        search=
    fi
    echo "TORCH_CXXFLAGS := -std=c++17 -D_GLIBCXX_USE_CXX11_ABI=$abi $include"
    echo "TORCH_LIBS := $search -Wl,--no-as-needed -ltorch -ltorch_cpu -lc10 -Wl,--as-needed"
}

python_torch() {
    python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null
}

if [ -n "$wanted" ] && [ "$wanted" != python ]; then
    [ -f "$wanted/include/torch/csrc/api/include/torch/torch.h" ] ||
        { echo "$0: no libtorch in \"$wanted\"" >&2; exit 3; }
    print_tree "$wanted/include" "$wanted/lib"
    exit 0
fi
if [ -z "$wanted" ] && [ -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
    library=$(dirname "$(find /usr/lib -name libtorch_cpu.so -print 2>/dev/null | head -n 1)")
    print_tree /usr/include "$library"
    exit 0
fi
dir=$(python_torch)
if [ -n "$dir" ] && [ -d "$dir/include" ]; then
    print_tree "$dir/include" "$dir/lib"
elif [ -n "$wanted" ]; then
    echo "$0: python3 has no torch" >&2
    exit 3
fi
