#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints make variables for compiling and linking against libtorch, one a line, each with a semicolon
# behind it, for $(shell), which joins lines; nothing where there is no libtorch. Each make calls it.
# Usage: tools/dev/find-libtorch.sh [DIR]
#   DIR     a libtorch (holding include/ and lib/), or the word "python" for python3's torch
#   no DIR  the distribution's libtorch-dev, else python3's torch
set -eu
wanted=${1-}
api=torch/csrc/api/include

holds_libtorch() { # include directory, library directory
    [ -f "$1/$api/torch/torch.h" ] && [ -f "$2/libtorch_cpu.so" ] && [ -f "$2/libc10.so" ]
}

print_tree() { # include directory, library directory
    abi=0 # which C++ string type the libraries were built with
    ! grep -aqE '_ZN3c105ErrorC[0-9][A-Za-z0-9_]*__cxx11' "$2/libc10.so" || abi=1
    include="-isystem $1 -isystem $1/$api"
    search="-L$2 -Wl,-rpath,$2"
    if [ "$1" = /usr/include ]; then # the compiler's own directories must not be named again
        include="-isystem $1/$api"
        search=
    fi
    echo "TORCH_FOUND := $1;"
    echo "TORCH_CXXFLAGS := -std=c++17 -D_GLIBCXX_USE_CXX11_ABI=$abi $include;"
    echo "TORCH_LIBS := $search -Wl,--no-as-needed -ltorch -ltorch_cpu -lc10 -Wl,--as-needed;"
    echo "TORCH_VERSION := $(stat -L -c %Y-%s "$2/libtorch_cpu.so");"
}

python_torch() {
    python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null
}

if [ -n "$wanted" ] && [ "$wanted" != python ]; then
    holds_libtorch "$wanted/include" "$wanted/lib" || { echo "$0: no libtorch in \"$wanted\"" >&2; exit 3; }
    print_tree "$wanted/include" "$wanted/lib"
    exit 0
fi
if [ -z "$wanted" ]; then
    for library in /usr/lib/*/libtorch_cpu.so /usr/lib/libtorch_cpu.so /usr/lib64/libtorch_cpu.so; do
        if holds_libtorch /usr/include "${library%/*}"; then
            print_tree /usr/include "${library%/*}"
            exit 0
        fi
    done
fi
dir=$(python_torch) || dir=
if [ -n "$dir" ] && holds_libtorch "$dir/include" "$dir/lib"; then
    print_tree "$dir/include" "$dir/lib"
elif [ -n "$wanted" ]; then
    echo "$0: python3 has no torch" >&2
    exit 3
fi
