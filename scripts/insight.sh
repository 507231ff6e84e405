#!/bin/sh
# Set the alarm's limits and train the heads of a copy of the shipped library, and measure both on episodes that neither has seen.
# Prints every command before it runs it; what is collected and played goes on where it was stopped.
# usage: scripts/insight.sh [folder for demonstrations, pictures, the copy and the figures]
set -eux
work=${1:-runs/lifelong}
shipped=models/libero_goal library="$work/told" figures="$work/skills.json"
"$(dirname "$0")/demonstrations.sh" "$work"
dmpel collect --suite libero_goal --states 30:50 --demonstrations 8 --output "$work/held-out" --seed 11
for suite in libero_spatial libero_object; do
    dmpel collect --suite $suite --states 30:50 --demonstrations 2 --output "$work/foreign" --seed 11
done
dmpel evaluate $shipped --tasks 0,1,2,3,4,5,6,7,8,9 --states 0:50 --conditions normal,wide --output "$work/own.json"

rm -rf "$library"
cp -r $shipped "$library"
dmpel alarm "$library" --evaluation "$work/own.json" --data "$work"/held-out/libero_goal/*.hdf5 --demonstrations 8 \
    --foreign "$work"/foreign/*/*.hdf5 --foreign-demonstrations 2 --results "$figures"
dmpel heads "$library" --data "$work"/data/libero_goal/*.hdf5 --held-out "$work"/held-out/libero_goal/*.hdf5 --results "$figures"
python -m benchmarks.insight "$library" --results "$figures"
