#!/bin/sh
# Train the shipped library from nothing: demonstrations, backbone, experts. Prints every command before it runs it.
# Each step goes on where it was stopped, so this may be interrupted and started again.
# usage: scripts/train.sh [folder for demonstrations and runs]
set -eux
