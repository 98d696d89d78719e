"""What keys and URLs in the environment may hold, before any service is asked."""

from __future__ import annotations

import pytest

from dev.__main__ import main
from dev.errors import CannotRun
from dev.providers import Providers


@pytest.mark.parametrize(
    "variables",
    [
        {"LLM_BASE_URL": "http://a b/"},
        {"LLM_BASE_URL": "http://[::"},
        {"LLM_API_KEY": "a\nb"},
        {"LLM_API_KEY": "schl\u00fcssel\u20ac"},
    ],
    ids=ascii,
)
def test_what_cannot_be_sent_is_one_sentence_without_the_key(variables: dict[str, str]) -> None:
    providers = Providers.chosen({"LLM_BASE_URL": "http://127.0.0.1:1", **variables})
    with pytest.raises(
        CannotRun, match=r"^The LLM cannot be asked: \S.* is no URL, or LLM_API_KEY"
    ):
        providers.check()


def test_logs_that_cannot_be_written_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("x") / "file"
    file.write_text("")
    assert main(["--port", "0", "--once", "--logs", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("No logs can be written to ")
