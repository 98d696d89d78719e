"""The values that `samwire start` is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from samwire.__main__ import options_of
from samwire.log_writer import LogWriter
from samwire.template.intrinsics import TemplateError


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not valid JSON"), ("[]", "expected an object"), (None, "No such file")],
)
def test_a_parameter_file_that_is_none_is_one_sentence(
    tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "parameters.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TemplateError, match=said):
        options_of(["--parameter-file", str(file)], LogWriter(None, None))


def test_what_the_command_line_says_counts_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"A": "of the file", "B": 2}')
    line = ["--parameter-file", str(file), "--parameter-overrides", "A=of the line"]
    options = options_of(line, LogWriter(None, None))
    assert options.parameters == {"A": "of the line", "B": "2"}
