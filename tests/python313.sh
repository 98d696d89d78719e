#!/bin/sh
# Prints the folder of a Python 3.13, which `sam build` needs for the python3.13 runtime;
# fails with a sentence when there is none.
for candidate in \
  "$(command -v python3.13 2>/dev/null)" \
  "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13 \
  "$(uv python find --quiet --no-python-downloads 3.13 2>/dev/null)"; do
  if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
    dirname "$("$candidate" -c 'import sys; print(sys.base_prefix + "/bin/python3.13")')"
    exit 0
  fi
done
echo "sam build needs Python 3.13. Install it (uv python install 3.13, pyenv install 3.13, brew install python@3.13) and try again." >&2
exit 1
