#!/bin/sh
# Prints the folder of a Python 3.13 with pip, which `sam build` needs for the python3.13 runtime.
# Where there is none, uv installs one; without uv it fails with a sentence.
print_folder() {
  for candidate in \
    "$(command -v python3.13 2>/dev/null)" \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13 \
    "$(uv python find --quiet --no-python-downloads 3.13 2>/dev/null)"; do
    if [ -n "$candidate" ] && "$candidate" -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
      dirname "$("$candidate" -c 'import sys; print(sys.base_prefix + "/bin/python3.13")')"
      return
    fi
  done
  return 1
}

print_folder && exit
if command -v uv >/dev/null 2>&1; then
  echo "Installing Python 3.13 for sam build: uv python install 3.13 ..." >&2
  uv python install --quiet 3.13 >&2 && print_folder && exit
fi
echo "sam build needs Python 3.13 with pip. Install it (pyenv install 3.13; macOS: brew install python@3.13; Debian 13: apt-get install python3.13 python3-pip), or uv, which fetches it (https://docs.astral.sh/uv/), and try again." >&2
exit 1
