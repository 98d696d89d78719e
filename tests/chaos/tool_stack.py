"""The stack of a soak with tools: the template with one function more, and a file of tools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from parley_standins.tool_runs import ToolOddities
from tests.chaos.tool_plan import KINDS, SHORT_TIMEOUT_S, TIMEOUT_S, Kind, tool_name
from tests.e2e.stack import ROOT

HERE = Path(__file__).parent
TOOLS_FILE = "soak.toml"
FILLER = "Just a moment, please."
FILLED: tuple[Kind, ...] = ("lambda", "mcp")
"""The kinds of tools that something is said beside."""
_SHARED = ("functions", "layers", "events")
_HANDLER = "  TurnFunction:\n    Type: AWS::Serverless::Function\n    Properties:\n"
_RESOURCES = "\nResources:\n"
_HAS_SECRETS = '  HasToolSecrets: !Not [!Equals [!Ref ToolSecretsArn, ""]]\n'
_LEDGER = """
  ToolLedgerFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub ${AWS::StackName}-tool-ledger
      CodeUri: ledger/
      Role: !GetAtt TurnFunctionRole.Arn
      Environment: {Variables: {LEDGER_URL: "%s", MARKS: "%s"}}

  SoakSecret:
    Type: AWS::SecretsManager::Secret
    Properties: {SecretString: '%s'}
"""


class ToolStack:
    """Makes the folder that the stack is started from.

    Args:
        folder: is made.
        port: where the tools' services are, on this machine.
        mutation: what is broken in the turns' code; empty for nothing.
        fills: whether something is said while some tools run.

    Attributes:
        marks: has a file for each invocation of a turn or a tool that runs, or was killed.
        pauses: has a file for each turn that is to stand still before it records a round.
    """

    def __init__(self, folder: Path, port: int, mutation: str, *, fills: bool) -> None:
        self.template = folder / "template.yaml"
        self.marks, self.pauses = folder / "marks", folder / "pauses"
        self._address = f"127.0.0.1:{port}"
        self._fills = fills
        for each in (self.marks, self.pauses, folder / "tools"):
            each.mkdir(parents=True)
        for name in _SHARED:
            (folder / name).symlink_to(ROOT / name)
        shutil.copytree(HERE / "functions" / "ledger", folder / "ledger")
        tools = folder / "tools"
        shutil.copyfile(HERE / "functions" / "soak_turn.py", tools / "soak_turn.py")
        shutil.copyfile(HERE / "mutations.py", tools / "soak_mutations.py")
        settings = {"marks": str(self.marks), "pauses": str(self.pauses), "mutation": mutation}
        (tools / "soak.json").write_text(json.dumps(settings))
        (tools / TOOLS_FILE).write_text("\n".join(self._declarations()))
        self.template.write_text(self._derived((ROOT / "template.yaml").read_text()))

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the template that say where tools are."""
        return {"ToolsFile": TOOLS_FILE, "PrivateToolHosts": self._address}

    def _derived(self, template: str) -> str:
        secret = json.dumps({"ledger": ToolOddities().secret})
        for old, new in (
            (_HAS_SECRETS, "  HasToolSecrets: !Equals [a, a]\n"),
            ("!Ref ToolSecretsArn", "!Ref SoakSecret"),
            (_HANDLER, f"{_HANDLER}      Handler: soak_turn.handler\n"),
            (
                _RESOURCES,
                _RESOURCES + _LEDGER % (f"http://{self._address}/effect", self.marks, secret),
            ),
        ):
            assert old in template, f"the template has no {old!r}"
            template = template.replace(old, new)
        return template

    def _declarations(self) -> list[str]:
        where = {
            "lambda": 'lambda = "ledger"',
            "webhook": f'http = "http://{self._address}/tools/book_table"\nsecret = "ledger"',
            "client": "client = true",
        }
        found = []
        for late, timeout_s in ((False, TIMEOUT_S), (True, SHORT_TIMEOUT_S)):
            for kind in KINDS:
                common = f'timeout_s = {timeout_s}\nshow = "all"\n'
                if self._fills and kind in FILLED:
                    common += f'say = "{FILLER}"\n'
                name = tool_name(kind, late=late)
                if kind == "mcp":
                    server = name.removesuffix("_book_table")
                    found.append(f'[mcp.{server}]\nurl = "http://{self._address}/mcp"')
                    found.append(f'tools = ["book_table"]\n{common}')
                else:
                    found.append(f'[{name}]\ndescription = "Books a table."\n{where[kind]}')
                    found.append(f"{_PARAMETERS}\n{common}")
        return found


_PARAMETERS = """parameters.people = { type = "integer" }
parameters.time = { type = "string" }
parameters.name = { type = "string" }
parameters.nonce = { type = "string" }"""
