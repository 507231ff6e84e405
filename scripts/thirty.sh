#!/bin/sh
# Learn thirty tasks, LIBERO-Spatial, LIBERO-Object and LIBERO-Goal one after another, taking out experts that hardly any task uses.
# Prints every command before it runs it; each goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/thirty.sh [folder for demonstrations, pictures and runs]
# From the environment: SEED, OPTIONS (more options of dmpel lifelong).
set -eux
work=${1:-runs/thirty}
"$(dirname "$0")/demonstrations.sh" "$work"
for suite in libero_spatial libero_object; do
    dmpel collect --suite $suite --states 0:30 --demonstrations 15 --output "$work/data" --seed 0
    dmpel stills --suite $suite --states 0:30 --layouts 100 --output "$work/stills" --seed 0
done

# The weights of the end go on, so the state of the learning curves selects nothing.
# shellcheck disable=SC2086
dmpel lifelong models/libero_goal --data "$work/data" --stills "$work/stills" --suite libero_spatial libero_object libero_goal --tasks 0:10 --algorithm dmpel \
    --seed "${SEED:-0}" --demonstrations 15 --steps 300 --batch 4 --stills-batch 8 --views 2 --prune-below 0.01 \
    --keep last --curve-points 2 --selection-states 26:27 --states 40:41 --loss-samples 16 \
    --threads 1 --processes 1 --runs "$work/runs" ${OPTIONS:-}
dmpel report "$work/runs" --output "$work/report"
