"""docs/extending.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from parley_client import Audio, Conversation
from tests.e2e.stack import ROOT, Standins, running_stack

PAGE = (ROOT / "docs" / "extending.md").read_text()
MAX_FILES = 4
BEEP_S, BEEP_SAMPLES = 0.2, 4_800
"""One beep, at 24 kHz."""


def section(title: str) -> str:
    """Return what is between one heading and the next."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of one language, without their indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def follow(text: str, folder: Path) -> list[str]:
    """Write the files that a section shows, and change those that it changes; return which."""
    touched = []
    for block in blocks(text, "python"):
        first, _, code = block.partition("\n")
        path = first.removeprefix("# ")
        assert not (folder / path).exists()
        (folder / path).write_text(code)
        touched.append(path)
    for block in blocks(text, "diff"):
        first, _, change = block.partition("\n")
        path = first.removeprefix("--- ")
        lines = change.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        before = (folder / path).read_text()
        assert before.count(old) == 1, f"{path} is not what the page says"
        (folder / path).write_text(before.replace(old, new))
        touched.append(path)
    return touched


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What is deployed, in a folder of its own."""
    listed = ["git", "ls-files", "-z", "template.yaml", "functions", "layers"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.rstrip("\0").split("\0"):
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    return tmp_path / "copy"


async def test_a_provider_is_added_as_the_page_says(
    copy: Path, tmp_path: Path, standins: Standins
) -> None:
    touched = follow(section("A provider"), copy)
    assert len(touched) <= MAX_FILES
    with running_stack(
        tmp_path,
        template=copy / "template.yaml",
        parameters={"Synthesizer": "beep", "VoiceId": "any"},
        standins=standins,
    ) as stack:
        async with asyncio.timeout(30), Conversation.connect(stack.url) as conversation:
            turn = conversation.say("Hello?")
            audio = b"".join([event.audio async for event in turn if isinstance(event, Audio)])
            reply = await turn
    assert reply.text
    samples = memoryview(audio).cast("h").tolist()
    beep = samples[:BEEP_SAMPLES]
    assert samples == beep * (len(samples) // BEEP_SAMPLES)
    crossings = sum((one < 0) != (next_one < 0) for one, next_one in itertools.pairwise(beep))
    assert crossings / 2 / BEEP_S == pytest.approx(440, abs=10)


def test_every_file_that_the_page_names_is_there() -> None:
    without_links = re.sub(r"\[[^]]*\]\([^)]*\)", "", PAGE)
    named = re.findall(r"`([\w.]+/[\w./]+)`", without_links)
    assert len(named) >= 5
    assert [path for path in named if not (ROOT / path).exists()] == []
