#!/bin/sh
# Writes constraints.txt from a new environment. Usage: scripts/pin.sh python3.11
# torch keeps the version that is pinned now: a change of it is a decision, made by hand.
set -eu

python=$1
torch=$(grep '^torch==' constraints.txt)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "$torch"
"$folder/venv/bin/pip" install --quiet --editable ".[dev,s3,heic]"
{
    sed -n '/^#/p' constraints.txt
    "$folder/venv/bin/pip" freeze | grep -vE '^(-e|#)' | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'
} >"$folder/constraints.txt"
cp "$folder/constraints.txt" constraints.txt
