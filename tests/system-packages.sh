#!/bin/sh
# The browser tests need Chromium, which no Python or npm package carries. As root on
# Debian and Ubuntu it is installed; elsewhere a sentence says what to do. Debian has it without
# windows as well: smaller, and the tests take half the time.
#
# A test of speech recognition hears Debian's recordings of people. Without them it is skipped.
recordings="pocketsphinx-testdata asterisk-core-sounds-en asterisk-core-sounds-en-wav"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && [ ! -d /usr/share/pocketsphinx/test ]; then
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $recordings; } \
    >/dev/null 2>&1 || echo "Debian's recordings cannot be had: the test that hears them is skipped." >&2
fi
command -v chromium-headless-shell >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Chromium for the browser tests ..."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # What they recommend is for a desktop, but for the fonts.
  for package in chromium-headless-shell chromium; do
    apt-get install -y -qq --no-install-recommends "$package" fonts-liberation >/dev/null 2>&1 && exit 0
  done
fi
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
[ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ] && exit 0
echo "Chromium is missing: the browser tests will be skipped. Install it with: sudo apt-get install chromium (macOS: brew install --cask chromium)." >&2
[ -z "$CI" ]
