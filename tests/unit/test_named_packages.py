"""No text tells anybody to install a package that is neither in this repository nor well known.

Whoever registers a name that a document names has every reader run their code.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WELL_KNOWN = {
    "boto3": "AWS's own SDK",
    "dynalite": "a DynamoDB whose limits a finding shows",
    "wav-decoder": "reads WAV in Node; a finding shows which it does not",
    "wavefile": "likewise, and reads it",
    "pyjwt": "signs a token in an application's back end",
    "jose": "likewise, in Node",
    "sounddevice": "the microphone of the Python client",
    "fastapi": "serves a webhook in an application's back end",
    "uvicorn": "likewise",
    "mcp": "the SDK of a protocol; a finding shows how its server answers",
    "mcp-proxy": "an MCP server over HTTP, to try tools with",
    "mcp-server-time": "the server behind it",
    "python-socks": "what `websockets` needs behind a SOCKS proxy",
}
"""Packages of others that texts may name, and what for."""
SUFFIXES = {
    "", ".html", ".js", ".json", ".md", ".mjs", ".py", ".sh", ".toml", ".ts", ".txt", ".yaml"
}  # fmt: skip
IGNORED = {".git", "node_modules", *(
    line.strip("/") for line in (ROOT / ".gitignore").read_text().split() if line.endswith("/")
)}  # fmt: skip
BETWEEN = r"(?:[ \t]+|[\"']\s*,\s*[\"'])"
"""Between the words of a command, also of one that is a list of strings."""
COMMAND = re.compile(
    rf"\b(?:(?:pip[3x]?|uv{BETWEEN}tool){BETWEEN}(?:install|inject|run)"
    rf"|(?:npm|pnpm){BETWEEN}(?:install|i|add|exec|dlx)"
    rf"|(?:uv|yarn|bun){BETWEEN}add|uvx|npx|bunx)(?P<rest>[ \t]|[\"']\s*,)"
)
WITH_A_VALUE = {
    "-r", "--requirement", "-c", "--constraint", "--python", "--target", "--prefix", "--group",
    "--platform", "--implementation", "--python-version",
}  # fmt: skip
END = re.compile(r"""[`();|&<>#\n\\]|["']\]""")
VERSION = re.compile(r"(?<=.)(\[.*|[=<>~!@].*)")
FROM_A_NETWORK = re.compile(r"(unpkg\.com|esm\.sh|jsdelivr\.net|skypack\.dev)/[^\s\"']*parley")


def named(text: str) -> Iterator[str]:
    """Everything that commands in a text install or run from a registry."""
    text = re.sub(r"\\\n\s*", " ", text)
    for command in COMMAND.finditer(text):
        is_list = command["rest"].endswith(",")
        words = iter(END.split(text[command.end() :], maxsplit=1)[0].replace(",", " ").split())
        for word in words:
            if is_list and word[0] not in "\"'":
                continue  # a variable of the program
            word = word.strip("\"'").rstrip(".:\"'")
            if word in WITH_A_VALUE:
                next(words, None)
            elif word and word[0] not in "-{$*%<":  # an option, or known only when it runs
                yield word


def is_allowed(name: str) -> bool:
    """Whether a name is a place in this repository, or a package that everybody knows."""
    if re.match(r"\.|/|…/|file:", name):
        inside = re.search(r"(?:client/(?:js|python)|layers/parley|samwire|standins)\b", name)
        return name == "." or (inside is not None and (ROOT / inside[0]).is_dir())
    if (ROOT / name).is_dir() and "/" in name:
        return True
    return VERSION.sub("", name).lower() in WELL_KNOWN


def texts() -> Iterator[Path]:
    """Every text of the repository."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in IGNORED and name[:5] != ".venv"]
        for name in files:
            path = Path(folder, name)
            if path.suffix in SUFFIXES and path != Path(__file__):
                yield path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("`pip install 'parley-client[audio]'`", ["parley-client[audio]"]),
        ("speak: pip install parley-client.", ["parley-client"]),
        ("pip3 install -U parley-client==1.0", ["parley-client==1.0"]),
        ("python -m pip install --quiet pyjwt parley", ["pyjwt", "parley"]),
        ("uv pip install parley", ["parley"]),
        ("uv tool install ./samwire", ["./samwire"]),
        ("uv add parley-client", ["parley-client"]),
        ("uvx parley talk", ["parley", "talk"]),
        ("pipx install parley", ["parley"]),
        ("pipx run parley", ["parley"]),
        ("npm install parley-client react", ["parley-client", "react"]),
        ("npm i --save @parley/client", ["@parley/client"]),
        ("npx parley-client", ["parley-client"]),
        ("pnpm add parley-client", ["parley-client"]),
        ("yarn add parley-client", ["parley-client"]),
        ('run(["npm", "install", "parley-client"], here)', ["parley-client"]),
        ("pip install --quiet \\\n  parley-client", ["parley-client"]),
        ("pip install -r requirements.txt", []),
        ("npm run check", []),
        ("npm ci && npm pack", []),
        ("`npm install`, then", []),
    ],
)  # fmt: skip
def test_a_command_is_read_as_a_shell_reads_it(text: str, names: list[str]) -> None:
    assert list(named(text)) == names


@pytest.mark.parametrize(
    "name",
    ["parley", "parley-client", "parley-client[audio]", "Parley_Client", "samwire", "./server",
     "pyjwt-x", "@parley/client", "https://example.com/client/js"],
)  # fmt: skip
def test_what_anybody_may_register_is_not_allowed(name: str) -> None:
    assert not is_allowed(name)


@pytest.mark.parametrize(
    "name",
    [".", "./client/python", "./client/python[audio]", "client/python", "./samwire",
     "../parley/client/js/parley-client-0.1.0.tgz", "pyjwt", "PyJWT>=2", "jose@6"],
)  # fmt: skip
def test_what_is_here_or_well_known_is_allowed(name: str) -> None:
    assert is_allowed(name)


def test_no_text_names_a_package_that_anybody_may_register() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts()
        for name in named(path.read_text(errors="replace"))
        if not is_allowed(name)
    }
    assert found == set()


def test_no_text_loads_the_client_from_a_network_of_packages() -> None:
    assert [p for p in texts() if FROM_A_NETWORK.search(p.read_text(errors="replace"))] == []


@pytest.mark.parametrize("folder", ["client/python", "client/js"])
def test_a_package_says_where_it_is_to_be_had(folder: str) -> None:
    """Its README imports it by a name that is in no registry."""
    readme = (ROOT / folder / "README.md").read_text()
    assert folder in " ".join(named(readme))


def test_what_is_not_to_be_published_is_refused_by_registries() -> None:
    """`parley` is another's name there, and the stand-ins are for this repository alone."""
    for folder in ("layers/parley", "standins"):
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        assert "Private :: Do Not Upload" in project["classifiers"]
