#!/bin/sh
# Says with a sentence what is missing of the Python in $PYTHON, which is empty if none was found.
if [ -z "$PYTHON" ]; then
  echo "Parley needs Python 3.11, 3.12 or 3.13. Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.13) or name it: make PYTHON=/path/to/python3" >&2
  exit 2
fi
if command -v uv >/dev/null 2>&1; then
  exit 0 # makes virtual environments without
fi
# Debian's python3 has venv, which makes nothing without ensurepip: that is in python3-venv.
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "Python's venv module is missing. Debian, Ubuntu: apt-get install python3-venv" >&2
  exit 2
fi
