#!/bin/sh
# Train the shipped library from nothing. Prints every command before it runs it.
# Each step goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/train.sh [folder for demonstrations, runs and libraries]
set -eux
work=${1:-runs/train}
tasks="put_the_bowl_on_the_plate put_the_bowl_on_the_stove open_the_middle_drawer_of_the_cabinet put_the_bowl_on_top_of_the_cabinet"
goal=libero_goal

# Demonstrations, and the backbone from two suites of them.
dmpel collect --suite libero_spatial --tasks all --demonstrations 25 --output "$work/data" --seed 0
dmpel collect --suite libero_object --tasks all --demonstrations 10 --output "$work/data" --seed 0
dmpel collect --suite $goal --tasks 8,1,0,4 --demonstrations 80 --output "$work/data" --seed 0
[ -e "$work/library/manifest.json" ] ||
    dmpel pretrain --data "$work/data/libero_spatial" "$work/data/libero_object" --output "$work/library" --run "$work/pretrain" --steps 6000 --batch 16 --seed 0

# Draft experts, only to see where a policy ends up: the expert demonstrates how to go on from there.
if [ ! -e "$work/draft" ]; then
    rm -rf "$work/draft.partial"
    cp -r "$work/library" "$work/draft.partial"
    mv "$work/draft.partial" "$work/draft"
fi
for task in $tasks; do
    dmpel learn "$work/draft" --data "$work/data/$goal/${task}_demo.hdf5" --run "$work/draft-$task" --steps 1000 --batch 8 --views 2 --seed 0
done
dmpel collect --suite $goal --tasks 8,1,0,4 --demonstrations 60 --output "$work/corrections" --policy "$work/draft" --seed 1

# The experts that ship.
for task in $tasks; do
    dmpel learn "$work/library" --data "$work/data/$goal/${task}_demo.hdf5" "$work/corrections/$goal/${task}_demo.hdf5" \
        --run "$work/learn-$task" --steps 2000 --batch 8 --views 4 --seed 0
done

dmpel export "$work/library"
dmpel evaluate "$work/library" --tasks 8,1,0,4 --states 40:50 --conditions normal,blank,wrong,wide,wide_blank --output "$work/evaluation.json"
