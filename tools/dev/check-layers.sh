#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds the arrows of docs/architecture.md and replay/README.md: which folder may include what.
set -eu
bad=0

# complain FOLDER PATTERN WHY [EXCEPT]: no source of FOLDER may have an #include of a path that begins with PATTERN, but EXCEPT.
complain() {
    found=$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]($2)" "$1" \
        --include='*.c' --include='*.h' --include='*.cpp' --include='*.hpp' |
        grep -vE "include[[:space:]]*[\"<](${4:-/})" || true)
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
complain recorder/core 'recorder/|replay/|analyzers/|tools/|nauha/(recorder|trace|bus|pipeline|analyzer)\.h' \
    'the core knows neither recorder nor replay' recorder/core/
complain recorder 'replay/|analyzers/|tools/|nauha/(trace|bus|pipeline|analyzer)\.h' \
    'the recorder knows nothing of replay'
complain replay 'recorder/|analyzers/|tools/|nauha/(recorder)\.h|nauha/torch\.hpp' \
    'replay knows nothing of the recorder'
complain analyzers 'recorder/|replay/|tools/|nauha/internal/|hdf5|zstd|lz4' \
    'analyzers use public headers only'
complain tools 'recorder/|replay/|analyzers/|nauha/internal/' 'programs use public headers only'

# A row of the table in replay/README.md says what a folder may use: core, and folders of rows above it.
known='core'
for folder in $(ls -d replay/*/ | sed 's|replay/||; s|/||'); do
    grep -q "^| \`$folder/\`" replay/README.md && continue
    echo "replay/README.md has no row for $folder/" >&2
    bad=1
done
for folder in $(sed -n 's|^. `\([a-z]*\)/` .*|\1|p' replay/README.md); do
    may=$(sed -n "s|^. \`$folder/\` .*[|] \(.*\) [|]\$|\1|p" replay/README.md)
    allowed=$folder
    for other in $(echo "$may" | tr -d ,); do
        case " $known " in
        *" $other "*) allowed="$allowed|$other" ;;
        *) echo "replay/README.md: $folder/ may use $other/, which is not in a row above it" >&2 && bad=1 ;;
        esac
    done
    complain "replay/$folder" 'replay/' "replay/$folder may use $may" "replay/($allowed)/"
    known="$known $folder"
done
exit $bad
