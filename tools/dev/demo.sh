#!/bin/sh
# SPDX-License-Identifier: MIT
# Trains AlexNetMini on Fashion-MNIST with the recorder on, replays the trace and draws pictures.
# Usage: tools/dev/demo.sh NAUHA DIRECTORY [STEPS]
set -eu
nauha=$1
out=$2
steps=${3:-400}

rm -rf "$out"
mkdir -p "$out"
echo "Training AlexNetMini on Fashion-MNIST for $steps steps, recording every message ..."
"$nauha" train -o "$out/run.h5" --model alexnetmini --dataset fashion-mnist \
    --batch-size 32 --max-steps "$steps" --optimizer adam --learning-rate 0.001 --seed 1
echo
"$nauha" info "$out/run.h5"
echo
echo "Replaying the trace ..."
"$nauha" replay "$out/run.h5" -o "$out/series" --sink csv,gnuplot \
    --metric loss \
    --metric train_accuracy \
    --metric ratio:weight_updates,weights \
    --metric norm:layer_gradients \
    --metric histogram:weights:subsample=10 \
    --exclude '(root),features,classifier' # the layers alone
echo
echo "The trace is $out/run.h5; the series (CSV), their gnuplot scripts (.gp) and pictures (.svg, .png)"
echo "are in $out/series/:"
for picture in "$out"/series/*.png; do
    echo "  $picture"
done
