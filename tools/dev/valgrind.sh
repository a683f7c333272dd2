#!/bin/sh
# SPDX-License-Identifier: MIT
# Records a synthetic training and replays it under valgrind: no errors, no leaks.
# Usage: tools/dev/valgrind.sh BUILD
set -eu
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
check="valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite"
$check "$build/release/tests/tools/make_trace" "$scratch/run.h5"
$check "$build/nauha" info "$scratch/run.h5" >/dev/null
$check "$build/nauha" ls "$scratch/run.h5" >/dev/null
$check "$build/nauha" replay -q "$scratch/run.h5" -o "$scratch/series" --sink csv --metric loss \
    --metric ratio:weight_updates,weights --metric norm:layer_gradients --metric histogram:weights
echo "valgrind found nothing"
