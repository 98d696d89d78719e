#!/bin/sh
# webvtt-py 0.6.0
# Guess: a caption's `text`, which is without the markup that `raw_text` has, is what a viewer reads;
#   and a caption that is made of a text is read back as this text.
# Behaviour: tags are taken out, but `&lt;` and `&amp;` stay as they are written. Nothing is escaped on
#   the way out, so that "<" in a text that was said begins a tag: the words up to the next ">" are
#   lost when it is read, here as in a browser.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webvtt-py==0.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import webvtt

FILE = "WEBVTT\n\n00:00.000 --> 00:01.000\n<v Ann>Is a &lt; b &amp; c?\n"
SAID = "Is a <b or b> a?"
read = webvtt.from_string(FILE)[0].text
made = webvtt.WebVTT(captions=[webvtt.Caption("00:00:00.000", "00:00:01.000", SAID)])
again = webvtt.from_string(made.content)[0].text
print("read:", read)
print("made of:", SAID, "- read back:", again)
sys.exit((read, again) != ("Is a &lt; b &amp; c?", "Is a  a?"))
PYTHON
