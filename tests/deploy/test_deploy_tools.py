"""The file of tools, before it is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.tools import FOLDER, check_tools


def test_the_files_that_come_with_parley_can_be_deployed() -> None:
    for file in FOLDER.glob("*.toml"):
        check_tools(file.name, "", "en")


def test_a_mistake_is_named_and_nothing_is_deployed(tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text("[a]\nlambda = 'a'\n[b]\ndescription = 'x'\n")
    with pytest.raises(DeployError) as refused:
        check_tools("tools.toml", "", "en", tmp_path)
    first, a, b = str(refused.value).splitlines()
    assert first == "The tools cannot work. Nothing was deployed."
    assert a.startswith("tools.toml: a: description: expected text")
    assert b.startswith("tools.toml: b: expected exactly one of lambda")


def test_an_agent_whose_file_is_wrong_is_named_and_nothing_is_deployed(tmp_path: Path) -> None:
    (tmp_path / "tools.toml").touch()
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "host.toml").write_text("promt = 'x'")
    with pytest.raises(DeployError, match=r"Nothing was deployed\.\nagents/host\.toml: .*`promt`"):
        check_tools("tools.toml", "", "en", tmp_path)


def test_hosts_may_be_private_that_the_deployment_names(tmp_path: Path) -> None:
    url = "http = 'http://crm:8000/'"
    (tmp_path / "tools.toml").write_text(f"[a]\ndescription = 'x'\n{url}\nsecret = 'x'\n")
    check_tools("tools.toml", "shop, crm:8000", "en", tmp_path)
    with pytest.raises(DeployError, match="PrivateToolHosts"):
        check_tools("tools.toml", "shop", "en", tmp_path)
