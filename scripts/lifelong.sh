#!/bin/sh
# Learn the ten tasks of LIBERO-Goal with DMPEL, on the backbone of the shipped library, and make of it the library that ships.
# Prints every command before it runs it; each goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/lifelong.sh [folder for demonstrations, pictures and runs]
# From the environment: SEED, STATES (reported initial states), OPTIONS (more options of dmpel lifelong).
set -eux
work=${1:-runs/lifelong}
seed=${SEED:-0}
"$(dirname "$0")/demonstrations.sh" "$work"

# The weights of the end go on, so the states of the learning curves select nothing.
# shellcheck disable=SC2086
dmpel lifelong models/libero_goal --data "$work/data" --stills "$work/stills" --suite libero_goal --tasks 8,1,0,4,2,6,9,7,5,3 --algorithm dmpel --seed "$seed" \
    --steps 2500 --epochs 8 --batch 4 --stills-batch 8 --views 2 --keep last --curve-points 6 --selection-states 26:29 --states "${STATES:-30:50}" \
    --controls blank,wrong,wide,object,swap,paraphrase --control-states 40:45 --loss-samples 32 \
    --threads 1 --processes 1 --runs "$work/runs" ${OPTIONS:-}
dmpel report "$work/runs" --output "$work/report"

# What ships under models/: the run's library with a quarter of its replay memories, which acts the same.
thinned="$work/library"
[ -e "$thinned/manifest.json" ] || { rm -rf "$thinned" && dmpel thin "$work/runs/libero_goal-dmpel-$seed/library" "$thinned" --replay 0.25; }
dmpel export "$thinned"
