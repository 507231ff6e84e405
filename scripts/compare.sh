#!/bin/sh
# Compare lifelong algorithms on the ten tasks of LIBERO-Goal: same demonstrations, backbone and steps, fewer of these than scripts/lifelong.sh takes.
# Prints every command before it runs it; each goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/compare.sh [folder for demonstrations, pictures and runs]
# From the environment: ALGORITHMS, SEED, OPTIONS (more options of dmpel lifelong, for instance --names true --note true).
set -eux
work=${1:-runs/lifelong}
algorithms=${ALGORITHMS:-dmpel iscil l2m tail sequential er ewc packnet multitask}
"$(dirname "$0")/demonstrations.sh" "$work"

# The weights of the end go on, so the states of the learning curves select nothing.
# shellcheck disable=SC2086
dmpel lifelong models/libero_goal --data "$work/data" --stills "$work/stills" --suite libero_goal --tasks 8,1,0,4,2,6,9,7,5,3 --algorithm $algorithms --seed "${SEED:-0}" \
    --steps 1000 --epochs 3 --batch 4 --stills-batch 8 --views 2 --keep last --curve-points 3 --selection-states 26:29 --states 40:45 \
    --controls blank,wrong,wide,object,swap,paraphrase --control-states 40:43 --loss-samples 32 \
    --threads 1 --processes 1 --runs "$work/compared" ${OPTIONS:-}
dmpel report "$work/compared" --output "$work/comparison"
