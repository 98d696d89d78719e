# Finds uv, or fetches it with pip; sets `uv`, empty where it cannot be had. For scripts to include.
# $PYTHON is the Python to fetch it with.
pip="-m pip --quiet --disable-pip-version-check"
# Python compiles what is imported when it first is: all of it would take a third of installing.
install="install --no-compile --no-deps"

step() { # step TEXT: says what is waited for, in less than 80 columns
  printf '%s …' "$1"
  begun=$(date +%s)
}
over() {
  printf ' %d s\n' $(($(date +%s) - begun))
}

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  python=$PYTHON
  if [ ! -x .venv-uv/bin/uv ]; then
    step "Fetching uv, which installs packages in seconds"
    lock_of_uv="--require-hashes -r tests/uv-requirements.txt"
    # Into a folder where this Python has pip: an environment with pip of its own takes 5 s.
    if ! "$python" $pip $install --root-user-action ignore --target .venv-uv $lock_of_uv 2>/dev/null; then
      "$PYTHON" -m venv .venv-uv
      python=.venv-uv/bin/python
      "$python" $pip $install $lock_of_uv || true
    fi
    over
  fi
  if [ -x .venv-uv/bin/uv ]; then
    uv=.venv-uv/bin/uv
    [ ! -x .venv-uv/bin/python ] || python=.venv-uv/bin/python
    pip_setting() {
      "$python" -m pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'$/\1/p" | tail -n 1
    }
    UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$(pip_setting index-url)}
    SSL_CERT_FILE=${SSL_CERT_FILE:-$(pip_setting cert)}
    for name in UV_DEFAULT_INDEX SSL_CERT_FILE; do
      eval "[ -z \"\$$name\" ]" || export "$name" # uv takes an empty one for a setting
    done
  fi
fi
