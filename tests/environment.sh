#!/bin/sh
# Makes a virtual environment of what a file locks: tests/environment.sh FOLDER LOCK [PROJECT ...]
# Projects are installed editable and built with what the file locks.
#
# uv installs in seconds what takes pip a minute and a half: where there is none, pip installs it.
# Only pip knows all settings of the machine's pip: where uv fails, pip installs everything.
set -e
folder=$1 lock=$2
shift 2
sh tests/python.sh

. tests/uv.sh

with() { # with COMMAND ...: the lock, then the projects
  "$@" --require-hashes -r "$lock" || return
  for project in $projects; do
    "$@" --no-build-isolation -e "$project" || return
  done
}

projects=$*
step "Installing $(grep -c '^[^ ]*==' "$lock") packages into $folder"
if [ -n "$uv" ] && "$uv" venv --quiet --allow-existing --python "$PYTHON" "$folder" &&
  with "$uv" pip install --quiet --no-deps --python "$folder/bin/python"; then
  over
  exit
fi
printf '\n'
step "The same without uv: pip takes a minute or two"
"$PYTHON" -m venv "$folder"
with "$folder/bin/python" $pip $install
over
