#!/bin/sh
# Set the alarm's limits and train the heads of the shipped library, and measure both: on demonstrations that neither has seen, and in the library's own episodes.
# Prints every command before it runs it; what is collected and played goes on where it was stopped.
# usage: scripts/insight.sh [folder for demonstrations, pictures and figures]
set -eux
work=${1:-runs/lifelong}
library=models/libero_goal figures="$work/skills.json"
"$(dirname "$0")/demonstrations.sh" "$work"
dmpel collect --suite libero_goal --states 30:50 --demonstrations 8 --output "$work/held-out" --seed 11
for suite in libero_spatial libero_object; do
    dmpel collect --suite $suite --states 30:50 --demonstrations 2 --output "$work/foreign" --seed 11
done

dmpel alarm $library --data "$work"/held-out/libero_goal/*.hdf5 --foreign "$work"/foreign/*/*.hdf5 --demonstrations 8 --foreign-demonstrations 2 --results "$figures"
dmpel heads $library --data "$work"/data/libero_goal/*.hdf5 --held-out "$work"/held-out/libero_goal/*.hdf5 --results "$figures"
python -m benchmarks.insight $library --results "$figures"
dmpel evaluate $library --tasks 0,1,2,3,4,5,6,7,8,9 --states 0:50 --conditions normal,wide --output "$work/hours.json"
