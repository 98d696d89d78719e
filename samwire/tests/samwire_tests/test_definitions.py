"""Which modules only define, and may be imported before environments are forked."""

from __future__ import annotations

from pathlib import Path

import pytest

from samwire.runtime.definitions import Definitions

DEFINES = [
    "import os\nNAMES = frozenset({'a', 'b'})\nLONGEST = max(map(len, NAMES))\n",
    "import re\nWORD = re.compile(r'\\w+')\nTEXT = '|'.join(['a', 'b'])\n",
    "import os\ndef where(given=os.environ):\n    return given['HOME']\n",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n"
    "    kept: list[int] = field(default_factory=list)\nNONE = A()\n",
    "class A:\n    def __init__(self, n: int) -> None:\n        self.n = n\nONE = A(1)\n",
    "class Bad(Exception):\n    def __init__(self, text):\n        super().__init__(text)\n"
    "BAD = Bad('no')\n",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import clock\n",
    "import functools\n@functools.cache\ndef slow():\n    import time\n    return time.time()\n",
    "def main():\n    print('x')\nif __name__ == '__main__':\n    main()\n",
    "import logging\nlogger = logging.getLogger(__name__)\n",
    "class A:\n    @property\n    def b(self):\n        return 1\n    @b.setter\n"
    "    def b(self, v):\n        print(v)\n",
]
ACTS = [
    "import time\nSTARTED = time.time()\n",
    "from time import time as now\nSTARTED = now()\n",
    "import uuid\nID = uuid.uuid4()\n",
    "import random\nSHARE = random.Random()\n",
    "import os\nHOME = os.environ['HOME']\n",
    "from os import environ\nHOME = environ.get('HOME')\n",
    "import os\nos.environ['A'] = 'b'\n",
    "import os\nPID = os.getpid()\n",
    "import sys\nOUT = sys.stdout\n",
    "import boto3\nclient = boto3.client('s3')\n",
    "import threading\nthreading.Thread(target=print).start()\n",
    "import logging\nlogging.getLogger().setLevel('INFO')\n",
    "TEXT = open('file').read()\n",
    "with open('file') as file:\n    TEXT = file.read()\n",
    "import socket\nsocket.timeout_s = 1\n",
    "def load():\n    return open('file').read()\nTEXT = load()\n",
    "import time\nclass A:\n    def __init__(self):\n        self.t = time.time()\nONE = A()\n",
    "import time\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n"
    "    def __post_init__(self):\n        self.t = time.time()\nONE = A()\n",
    "import elsewhere\n@elsewhere.registered\ndef handler():\n    pass\n",
    "class A:\n    import time\n    STARTED = time.time()\n",
    "def make():\n    import time\n    return 1\nONE = make()\n",
    "ONE = (lambda: open('x'))()\n",
    "print('imported')\n",
    "x = [print(i) for i in range(3)]\n",
    "import atexit\natexit.register(print)\n",
    "def broken(:\n",
]


def defining(folder: Path, **sources: str) -> list[str]:
    """The names of those that only define."""
    files = {}
    for name, source in sources.items():
        files[name] = folder / f"{name}.py"
        files[name].write_text(source)
    return Definitions(files).only_define()


@pytest.mark.parametrize("source", DEFINES)
def test_definitions_are_known_as_such(tmp_path: Path, source: str) -> None:
    assert defining(tmp_path, module=source) == ["module"]


@pytest.mark.parametrize("source", ACTS)
def test_what_acts_is_known_to(tmp_path: Path, source: str) -> None:
    assert defining(tmp_path, module=source) == []


def test_a_module_acts_if_one_that_it_imports_does(tmp_path: Path) -> None:
    found = defining(
        tmp_path,
        first="import second\n",
        second="from third import STARTED\n",
        third="import time\nSTARTED = time.time()\n",
        apart="import first_of_all\n",
    )
    assert found == ["apart"]


def test_modules_that_import_each_other_are_judged_together(tmp_path: Path) -> None:
    sound = {"one": "import two\n", "two": "import one\n"}
    assert defining(tmp_path, **sound) == ["one", "two"]
    assert defining(tmp_path, **sound | {"two": "import one\nprint()\n"}) == []


def test_a_call_is_followed_into_other_modules(tmp_path: Path) -> None:
    makers = "import time\ndef good():\n    return 1\ndef bad():\n    return time.time()\n"
    assert defining(tmp_path, makers=makers, uses="from makers import good\nX = good()\n") == [
        "makers",
        "uses",
    ]
    assert defining(tmp_path, makers=makers, uses="import makers\nX = makers.bad()\n") == ["makers"]
