"""docs/recipes.md: tokens as its code signs them let their user talk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.backend import secret_of
from tests.e2e.knocking import NODE
from tests.e2e.raw import opened
from tests.e2e.stack import ROOT, Stack
from tests.recipes import recipe

pytestmark = pytest.mark.timeout(120)
SIGNERS = {
    "python": ("parley_token.py", "import parley_token as p; print(p.parley_token('ada'))"),
    "js": (
        "parley-token.mjs",
        "import('./parley-token.mjs').then(p => console.log(p.parleyToken('ada')))",
    ),
}


def printed(command: Sequence[str | Path], folder: Path, secret: str) -> str:
    """What a program prints that knows the secret."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "AUTH_SECRET": secret},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


async def lets_in(stack: Stack, token: str) -> bool:
    """Whether a token opens a session."""
    async with opened(stack.url, token=token) as client:
        return bool(client.ready["session_id"])


@pytest.mark.parametrize("language", sorted(SIGNERS))
async def test_a_token_in_ten_lines_lets_its_user_in(
    secret_stack: Stack, tmp_path: Path, language: str
) -> None:
    file, program = SIGNERS[language]
    (tmp_path / file).write_text(recipe("A token in ten lines", language))
    runtime: list[str | Path] = [sys.executable, "-c"] if language == "python" else [NODE, "-e"]
    token = printed([*runtime, program], tmp_path, secret_of(secret_stack))
    assert await lets_in(secret_stack, token)


async def test_the_token_of_the_wordpress_plugin_lets_its_user_in(
    secret_stack: Stack, tmp_path: Path
) -> None:
    php = shutil.which("php")
    if php is None:  # `make test` does not install it, for one test of one recipe
        pytest.skip("there is no PHP on this machine")
    (tmp_path / "parley.php").write_text(recipe("A widget in WordPress", "php"))
    (tmp_path / "site.php").write_text((ROOT / "tests" / "e2e" / "wordpress.php").read_text())
    token, widget, stranger = printed([php, "site.php"], tmp_path, secret_of(secret_stack)).split(
        "\n"
    )
    assert await lets_in(secret_stack, token)
    assert widget.startswith('<parley-talk url="wss://talk.example.com/dev" token-url="https://')
    assert stranger == "nothing"
