#!/bin/sh
# Compare lifelong algorithms on the ten tasks of LIBERO-Goal, on the same demonstrations and the backbone of the shipped library.
# Prints every command before it runs it; each goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/lifelong.sh [folder for demonstrations, pictures and runs]
# From the environment: ALGORITHMS, SEED, STATES (reported initial states), OPTIONS (more options of dmpel lifelong).
set -eux
work=${1:-runs/lifelong}
algorithms=${ALGORITHMS:-dmpel sequential er ewc packnet tail l2m iscil multitask}
goal=libero_goal

# Demonstrations and still pictures around stored initial states 0 to 29: twice as many of the drawer that is opened and then filled, where four
# things have to go right one after another. Pushing has no still pictures: no fingers close.
dmpel collect --suite $goal --tasks 0,1,2,4,5,6,7,8,9 --states 0:30 --demonstrations 40 --output "$work/data" --seed 0
dmpel collect --suite $goal --tasks 3 --states 0:30 --demonstrations 80 --output "$work/data" --seed 0
dmpel stills --suite $goal --tasks 0,1,2,3,4,6,7,8,9 --states 0:30 --layouts 240 --output "$work/stills" --seed 0

# The runs. The weights of the end go on, so the states of the learning curves select nothing.
# shellcheck disable=SC2086
dmpel lifelong models/libero_goal --data "$work/data" --stills "$work/stills" --suite $goal --tasks 8,1,0,4,2,6,9,7,5,3 --algorithm $algorithms --seed "${SEED:-0}" \
    --steps 2500 --epochs 8 --batch 4 --stills-batch 8 --views 2 --keep last --curve-points 6 --selection-states 26:29 --states "${STATES:-40:50}" \
    --controls blank,wrong,wide,object,swap,paraphrase --control-states 40:45 --loss-samples 32 \
    --threads 1 --processes 1 --runs "$work/runs" ${OPTIONS:-}
dmpel report "$work/runs" --output "$work/report"

# What ships under models/: DMPEL's library with a quarter of its replay memories, which acts the same.
grown="$work/runs/$goal-dmpel-${SEED:-0}/library" thinned="$work/library"
if [ -d "$grown" ]; then
    [ -e "$thinned/manifest.json" ] || { rm -rf "$thinned" && dmpel thin "$grown" "$thinned" --replay 0.25; }
    dmpel export "$thinned"
fi
