#!/bin/sh
# Train a library of four LIBERO-Goal tasks from nothing. Prints every command before it runs it.
# Each step goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/train.sh [folder for demonstrations, pictures, runs and libraries]
# The backbone of the library under models/ was made with PRETRAIN_STEPS=4500, its ten experts by scripts/lifelong.sh; see docs/results.md.
set -eux
work=${1:-runs/train}
demonstrations=${DEMONSTRATIONS:-50} pretrain_steps=${PRETRAIN_STEPS:-3000} learn_steps=${LEARN_STEPS:-1000}
goal=libero_goal

# Demonstrations and still pictures. The drawer is learned without.
dmpel collect --suite libero_spatial --tasks all --demonstrations 30 --output "$work/data" --seed 0
dmpel collect --suite libero_object --tasks all --demonstrations 10 --output "$work/data" --seed 0
dmpel collect --suite $goal --tasks 8,1,0,4 --demonstrations "$demonstrations" --output "$work/data" --seed 0
dmpel stills --suite libero_spatial --layouts 240 --output "$work/stills" --seed 0
dmpel stills --suite libero_object --layouts 100 --output "$work/stills" --seed 0
dmpel stills --suite $goal --tasks 8,1,4 --layouts 240 --output "$work/stills" --seed 0

# The backbone, from two suites.
[ -e "$work/library/manifest.json" ] ||
    dmpel pretrain --data "$work/data/libero_spatial" "$work/data/libero_object" \
        --stills "$work/stills/libero_spatial" "$work/stills/libero_object" \
        --output "$work/library" --run "$work/pretrain" --steps "$pretrain_steps" --batch 8 --stills-batch 80 --seed 0

# The experts, one after another.
for task in put_the_bowl_on_the_plate put_the_bowl_on_the_stove open_the_middle_drawer_of_the_cabinet put_the_bowl_on_top_of_the_cabinet; do
    stills="$work/stills/$goal/${task}_stills.hdf5"
    [ -e "$stills" ] && pictures="--stills $stills --stills-batch 40" || pictures=""
    # shellcheck disable=SC2086
    dmpel learn "$work/library" --data "$work/data/$goal/${task}_demo.hdf5" $pictures \
        --run "$work/learn-$task" --steps "$learn_steps" --batch 8 --views 3 --seed 0
done

dmpel export "$work/library"
dmpel evaluate "$work/library" --tasks 8,1,0,4 --states 40:50 --horizon 250 --conditions normal,blank,wrong,wide,wide_blank --output "$work/evaluation.json"
