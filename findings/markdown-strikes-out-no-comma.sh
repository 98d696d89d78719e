#!/bin/sh
# cmarkgfm 2025.10.22
# Guess: in GitHub Flavored Markdown `~~text~~` strikes a text out wherever it stands.
# Behaviour: not between a letter and a punctuation mark. Where no space stands in front of the
#   tildes, as in Chinese, `你好~~，再见~~` is shown with its tildes; `你好<del>，再见</del>` is not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cmarkgfm==2025.10.22
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import cmarkgfm
from cmarkgfm.cmark import Options


def struck_out(text: str) -> bool:
    shown = cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)
    print(f"{text}  ->  {shown.strip()}")
    return "<del>" in shown


found = [struck_out(text) for text in ("a ~~, b~~", "你好~~再见~~", "你好~~，再见~~", "你好<del>，再见</del>")]
sys.exit(0 if found == [True, True, False, True] else 1)
PYTHON
