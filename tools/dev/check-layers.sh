#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds the arrows of docs/architecture.md: which folder may include what.
set -eu
bad=0

# complain FOLDER PATTERN WHY: no source of FOLDER may have an #include that matches PATTERN.
complain() {
    found=$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*$2" "$1" \
        --include='*.c' --include='*.h' --include='*.cpp' --include='*.hpp' || true)
    if [ -n "$found" ]; then
        printf '%s\n%s\n' "$3:" "$found" >&2
        bad=1
    fi
}

others=$(grep -nE '#include [<"](hdf5|zstd|lz4|xxhash|cjson|uthash|protobuf-c)' include/nauha/*.h include/nauha/internal/*.h |
    grep -vE '^include/nauha/internal/h5(_driver)?\.h:' || true)
if [ -n "$others" ]; then
    printf 'headers use libc only (internal/h5.h and h5_driver.h excepted):\n%s\n' "$others" >&2
    bad=1
fi
internal=$(grep -nE '#include "nauha/internal/' include/nauha/*.h include/nauha/*.hpp 2>/dev/null || true)
if [ -n "$internal" ]; then
    printf 'public headers do not include internal ones:\n%s\n' "$internal" >&2
    bad=1
fi
complain recorder/core '["<](recorder/[^c]|replay/|analyzers/|tools/|nauha/(recorder|trace|bus|pipeline|analyzer)\.h)' \
    'the core knows neither recorder nor replay'
complain recorder '["<](replay/|analyzers/|tools/|nauha/(trace|bus|pipeline|analyzer)\.h)' \
    'the recorder knows nothing of replay'
complain replay '["<](recorder/|analyzers/|tools/|nauha/(recorder)\.h|nauha/torch\.hpp)' \
    'replay knows nothing of the recorder'
complain analyzers '["<](recorder/|replay/|tools/|nauha/internal/|hdf5|zstd|lz4)' \
    'analyzers use public headers only'
complain tools '["<](recorder/|replay/|analyzers/|nauha/internal/)' 'programs use public headers only'
exit $bad
