#!/bin/sh
# Train the shipped library from nothing: demonstrations, backbone, experts. Prints every command before it runs it.
# Each step goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/train.sh [folder for demonstrations, runs and library]
set -eux
work=${1:-runs/train}

dmpel collect --suite libero_spatial --tasks all --demonstrations 25 --output "$work/data" --seed 0
dmpel collect --suite libero_object --tasks all --demonstrations 10 --output "$work/data" --seed 0
dmpel collect --suite libero_goal --tasks 8,1,0,4 --demonstrations 80 --output "$work/data" --seed 0

[ -e "$work/library/manifest.json" ] ||
    dmpel pretrain --data "$work/data/libero_spatial" "$work/data/libero_object" --output "$work/library" --run "$work/pretrain" --steps 6000 --batch 16 --seed 0

for task in put_the_bowl_on_the_plate put_the_bowl_on_the_stove open_the_middle_drawer_of_the_cabinet put_the_bowl_on_top_of_the_cabinet; do
    dmpel learn "$work/library" --data "$work/data/libero_goal/${task}_demo.hdf5" --run "$work/learn-$task" --steps 1500 --batch 8 --views 4 --seed 0
done

dmpel evaluate "$work/library" --tasks 8,1,0,4 --states 40:50 --conditions normal,blank,wrong,wide,wide_blank --output "$work/evaluation.json"
