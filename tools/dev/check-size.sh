#!/bin/sh
# SPDX-License-Identifier: MIT
# Files stay under 650 lines, C functions under 100.
set -eu
bad=0
for file in $(git ls-files '*.c' '*.h' '*.hpp' '*.cpp' '*.py'); do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 650 ]; then
        echo "$file has $lines lines" >&2
        bad=1
    fi
done
# A function is what stands between a "{" that ends a line begun in column 1 and a "}" in column 1.
git ls-files '*.c' '*.cpp' | xargs awk '
    FNR == 1 { inside = 0 }
    /^[A-Za-z].*\)[ a-z]*\{$/ || (/^ .*\) \{$/ && !inside && previous ~ /^[A-Za-z].*[(,]/) {
        inside = 1; start = FNR; name = $0
    }
    /^}/ { if (inside && FNR - start > 100) { printf "%s:%d: %d lines: %s\n", FILENAME, start, FNR - start, name; bad = 1 } inside = 0 }
    { previous = $0 }
    END { exit bad }' >&2 || bad=1
exit $bad
