#!/bin/sh
# Collect what the ten tasks of LIBERO-Goal are learned from: FOLDER/data and FOLDER/stills. Goes on where it was stopped.
# usage: scripts/demonstrations.sh FOLDER
set -eux
work=$1
goal=libero_goal

# Demonstrations and still pictures around stored initial states 0 to 29: twice as many of the drawer that is opened and then filled, where four
# things have to go right one after another. Pushing has no still pictures: no fingers close.
dmpel collect --suite $goal --tasks 0,1,2,4,5,6,7,8,9 --states 0:30 --demonstrations 40 --output "$work/data" --seed 0
dmpel collect --suite $goal --tasks 3 --states 0:30 --demonstrations 80 --output "$work/data" --seed 0
dmpel stills --suite $goal --tasks 0,1,2,3,4,6,7,8,9 --states 0:30 --layouts 240 --output "$work/stills" --seed 0
