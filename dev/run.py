"""What `make run` runs: this project on one machine, from nothing to a conversation.

Starts the stand-ins (or uses the real services whose keys are in the environment), the
emulator with this project's template, has a spoken conversation held with it, and
serves the page until Ctrl-C. It knows the template's parameters and the demo's command
line, and nothing else of the project.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dev import models
from dev.children import Child, follow, last_advice, last_words, start
from dev.choice import PAIR, PAIRS, SETTINGS
from dev.errors import CannotRun
from dev.providers import CHOOSERS, FALLBACK, STANDIN_KEY, Providers, Used, variable
from dev.services import SERVICES
from dev.steps import COLUMNS, Steps, wrap
from dev.tool_secrets import ARN, read_tool_secrets, store_tool_secrets
from samwire.services.own_key import PROFILE

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
DEFAULT_URL = "ws://localhost:3001/dev"
QUESTIONER = SERVICES["synthesizer", "elevenlabs"]
"""Asks the questions of the demo."""
TOOLS = ROOT / "tools" / "tools.toml"
DEMO_TOOLS = "demo.toml"
"""Beside it: what the model may call unless the developer declares tools."""
ORIGINS = "AllowedOrigins"
"""The parameter that says which pages may connect; those that are served here may anyway."""
CHOSEN_PARAMETERS = (
    "SpeechModel",
    "TranscriptionModel",
    "LlmModel",
    "ReasoningEffort",
    "FallbackSpeechModel",
    "FallbackTranscriptionModel",
    "FallbackLlmModel",
    "FallbackVoiceId",
    "N8nHeaderName",
    "LanguageDetection",
    "PreemptiveReplies",
    "LanguageVoices",
    "SystemPrompt",
    "Greeting",
    "SilencePrompt",
    "AskAfterSilenceSeconds",
    "EndAfterSilenceSeconds",
    "MaxSessionMinutes",
    "ClientContext",
    "Language",
    "AuthMode",
    "AuthSecret",
    "AuthIssuer",
    "AuthAudience",
    "AuthTenantClaim",
    ORIGINS,
    "ClientSettings",
    "Voices",
    "Languages",
    "ToolsFile",
    "ToolSecretsArn",
    "ToolFunctionArns",
    "PrivateToolHosts",
)
"""Parameters of the template that environment variables choose: `VoiceId` is `VOICE_ID`."""
SECRETS = frozenset(
    {
        *(variable(service.key) for service in SERVICES.values() if service.key),
        *(f"FALLBACK_{stage}_API_KEY" for stage in ("LLM", "SPEECH", "TRANSCRIPTION")),
        "AUTH_SECRET",
        "PARLEY_TOKEN",
    }
)
"""Variables that neither stand-ins nor stack inherit: the stack has them as parameters."""


def run(
    port: int,
    choice: Mapping[str, str],
    *,
    pair: str,
    demo: str | None,
    stay: bool,
    log_folder: Path,
    db_path: Path,
) -> int:
    """Start everything, hold the conversation, serve the page.

    Args:
        choice: names of providers, by the template's parameters.
        pair: which stand-ins speak and hear.
        demo: `yes` or `no`; None for a conversation that costs nothing.
        db_path: the folder that sessions are kept in from one run to the next.

    Returns:
        the exit code.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    quiet = {name: value for name, value in environment.items() if name not in SECRETS}
    seconds = {FALLBACK + name: environment.get(variable(FALLBACK + name), "") for name in CHOOSERS}
    providers = Providers.chosen(environment, {**seconds, **choice})
    steps = Steps(sys.stdout)
    if providers.asked:
        with steps.step("Asking the services whether they take the keys"):
            providers.check()
    tool_secrets = read_tool_secrets(environment)
    log = log_folder / "stack.log"
    try:
        log_folder.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise CannotRun(f"No logs can be written to {log_folder}: {error.strerror}.") from None
    with contextlib.ExitStack() as running:
        # It imports for a second or more, and waits for parameters: the others start meanwhile.
        emulator = running.enter_context(start(_emulator_command(port, db_path), log, quiet))
        why_small = _fetch_models(pair, steps)
        voices = running.enter_context(
            start(_standins_command(pair), log_folder / "standins.log", quiet)
        )
        with steps.step("Starting the stand-ins: voice, recogniser, language model"):
            standins = voices.ready()
        if standins["missing"]:
            print(wrap(without_natural(why_small or "; ".join(standins["missing"]))), flush=True)
        parameters = _parameters(providers, environment, standins)
        if tool_secrets:
            parameters["ToolSecretsArn"] = ARN
        stack = _start_emulator(emulator, log, parameters, steps)
        if stack["db_notice"]:
            print(wrap(stack["db_notice"]), flush=True)
        if tool_secrets:
            store_tool_secrets(tool_secrets, stack)
        _say_what_runs(providers, parameters, environment, standins["engines"], log_folder)
        why_not = why_no_demo(demo, environment, providers.paid_by)
        if why_not:
            print(wrap(why_not), flush=True)
        else:
            code = _hold_conversation(
                stack["websocket_url"], providers, parameters, environment, standins
            )
            if code:
                _say_why(log, parameters)
            if code or not stay:
                return code
        _say_where(stack, environment.get("PARLEY_TOKEN", ""))
        _say_who_may_connect(environment.get(variable(ORIGINS), ""))
        if stay:
            emulator.wait()  # until Ctrl-C or SIGTERM raises KeyboardInterrupt
            raise CannotRun(f"The stack has ended. {last_words(log) or 'It did not say why.'}")
    return 0


def _fetch_models(pair: str, steps: Steps) -> str:
    """Fetch what the natural pair needs. Return why it cannot be had."""
    if pair == "small" or models.are_here():
        return ""
    with steps.step(f"Fetching a voice and a recogniser, this once ({models.MEGABYTES} MB)"):
        return models.fetch()


def without_natural(why: str) -> str:
    """Return a sentence for a run that does without a part of the natural pair."""
    return (
        f"A part of the natural voice and recogniser is missing: {why}. The small ones stand in "
        f"for it. The next run tries again; {PAIR}=small does not."
    )


def _start_emulator(
    emulator: Child, log: Path, parameters: Mapping[str, str], steps: Steps
) -> dict[str, Any]:
    def say(progress: str) -> None:
        steps.begin(f"Starting the emulator: {progress}")

    with steps.step("Starting the emulator"), follow(log, say):
        emulator.tell(json.dumps(parameters))
        return emulator.ready()


def why_no_demo(demo: str | None, environment: Mapping[str, str], paid_by: Sequence[str]) -> str:
    """Why no conversation is held, in a sentence; empty if one is.

    Args:
        paid_by: the variables by which it would cost something.
    """
    if demo == "no":
        return "No conversation is held, as asked."
    if _needs_a_token(environment):
        return "No conversation is held: AUTH_MODE wants a token. Put one into PARLEY_TOKEN."
    if paid_by and demo is None:
        return (
            f"No conversation is held, because {' and '.join(paid_by)} would pay for it. "
            "To hold it all the same: make run DEMO=yes"
        )
    return ""


def _needs_a_token(environment: Mapping[str, str]) -> bool:
    """Whether the API wants a token that the demo does not have."""
    wanted = environment.get("AUTH_MODE") or "off"
    return wanted != "off" and not environment.get("PARLEY_TOKEN")


def _parameters(
    providers: Providers, environment: Mapping[str, str], standins: Mapping[str, Any]
) -> dict[str, str]:
    """Values of the template's parameters, keys and secrets among them.

    Args:
        standins: what they said when they were ready.
    """
    urls = {
        "elevenlabs": standins["elevenlabs_url"],
        "llm": standins["llm_url"],
        **standins["urls"],
    }
    given = providers.parameters(urls)
    speaks, listens = providers["Synthesizer"], providers["Transcriber"]
    if not speaks.is_real and speaks.name == "elevenlabs":
        voices = standins["voices"].items()
        given["Voices"] = ",".join(f"{voice}={name}" for voice, name in voices)
    if not (speaks.is_real and listens.is_real):
        given["Languages"] = "en"
    given["ElevenLabsBaseUrl"] = given.get("ElevenLabsBaseUrl") or QUESTIONER.address
    if shows_demo_tools(TOOLS, providers["Responder"].name):
        given["ToolsFile"] = DEMO_TOOLS
    for parameter in CHOSEN_PARAMETERS:
        if value := environment.get(variable(parameter)):
            given[parameter] = value
    return given


def shows_demo_tools(file: Path, responder: str) -> bool:
    """Whether the model may call the tools of the demo: the developer declares none, and it can."""
    if responder == "n8n":
        return False
    try:
        return not tomllib.loads(file.read_text())
    except FileNotFoundError:
        return True
    except ValueError:
        return False  # the log says what is wrong in it


def _standins_command(pair: str) -> list[str]:
    return [
        *("-m", "parley_standins", "--exit-with-parent"),
        *("--pair", pair, "--weights", str(models.WEIGHTS)),
        *("--api-key", STANDIN_KEY, "--llm-api-key", STANDIN_KEY),
    ]


def _emulator_command(port: int, db_path: Path) -> list[str]:
    return [
        *("-m", "samwire", "start", "--json", "--progress"),
        *("--template", str(TEMPLATE)),
        *(["--no-lint"] if is_as_committed(TEMPLATE) else []),
        *("--port", str(port), "--tls-port", "0", "--prewarm", "1"),
        *("--static-dir", str(ROOT / "web"), "--static-dir", f"/client={ROOT / 'client' / 'js'}"),
        *("--parameter-file", "-", "--own-origins", ORIGINS, "--db-path", str(db_path)),
    ]


def is_as_committed(file: Path) -> bool:
    """Whether git knows that nobody has changed a file.

    `make test` asks cfn-lint about every template that is committed; it takes ten seconds the
    first time.
    """
    git = shutil.which("git")
    if git is None:
        return False
    command = [git, "-C", str(file.parent), "ls-tree", "--name-only", "HEAD", file.name]
    known = subprocess.run(command, capture_output=True, check=False)
    command = [git, "-C", str(file.parent), "diff", "--quiet", "HEAD", "--", file.name]
    same = subprocess.run(command, capture_output=True, check=False)
    return bool(known.stdout) and same.returncode == 0


def _say_what_runs(
    providers: Providers,
    parameters: Mapping[str, str],
    environment: Mapping[str, str],
    engines: Mapping[str, str],
    log_folder: Path,
) -> None:
    print(
        f"\nVoice:          {_who(providers['Synthesizer'], engines['voice'])}"
        f"\nEars:           {_who(providers['Transcriber'], engines['ears'])}"
        f"\nMind:           {_model(providers, environment)}"
        f"\n{tools_shown(providers, parameters)}"
        f"\nLogs:           {_shown(log_folder)}/\n",
        flush=True,
    )


def tools_shown(providers: Providers, parameters: Mapping[str, str]) -> str:
    """Return which tools the model has, or why it has none, in lines for a terminal."""
    name = parameters.get("ToolsFile") or TOOLS.name
    if providers["Responder"].name == "n8n":
        found = "those of the workflow"
    elif name == DEMO_TOOLS:
        found = f"the demo's ({_shown(TOOLS.parent / name)}): Book a table for two at eight."
    else:
        checked = _checked(TOOLS.parent / name, parameters.get("PrivateToolHosts", ""))
        found = checked.stdout.strip() or f"none, because of this:\n{checked.stderr.strip()}"
    first, *others = found.splitlines()
    label = "Tools:          "
    below = " " * len(label)
    listed = textwrap.fill(first, COLUMNS, initial_indent=label, subsequent_indent=below)
    return "\n".join([listed, *(wrap(line) for line in others)])


def _checked(file: Path, private_hosts: str) -> subprocess.CompletedProcess[str]:
    """Look at a file of tools as `make tools` does."""
    return subprocess.run(
        [sys.executable, "-m", "parley.tools.check", _shown(file)],
        env={**os.environ, "PRIVATE_TOOL_HOSTS": private_hosts},
        capture_output=True,
        text=True,
        check=False,
    )


def _who(used: Used, engine: str = "") -> str:
    """Return who it is; of a stand-in what it runs, if it says so."""
    has_name = not used.service.called.startswith("The ")
    if used.is_real:
        where = used.url or used.service.address
        return used.service.called if has_name else f"{used.name} at {where}"
    hint = f" (set {used.wanted})" if used.wanted else ""
    runs = f": {engine}" if engine else ""
    return f"a stand-in for {used.service.called if has_name else used.name}{runs}{hint}"


def _model(providers: Providers, environment: Mapping[str, str]) -> str:
    replies = providers["Responder"]
    if replies.is_real:
        usual = "the endpoint's usual one" if replies.name == "openai_chat" else _who(replies)
        return environment.get("LLM_MODEL") or usual
    if environment.get("SYSTEM_PROMPT"):
        hint = f" (set {replies.wanted})" if replies.wanted else ""
        return f"a stand-in, which ignores SYSTEM_PROMPT{hint}"
    return _who(replies)


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _hold_conversation(
    url: str,
    providers: Providers,
    parameters: Mapping[str, str],
    environment: Mapping[str, str],
    standins: Mapping[str, Any],
) -> int:
    """Have a conversation held; ElevenLabs' stand-in asks unless ElevenLabs itself speaks.

    The stand-in asks in its usual voice, so that a `VOICE_ID` it lacks fails as it would deployed.
    """
    speaks = providers["Synthesizer"]
    is_real = speaks.is_real and speaks.name == "elevenlabs"
    address = parameters["ElevenLabsBaseUrl"] if is_real else standins["elevenlabs_url"]
    command = [sys.executable, "-m", "parley_client.demo", "--url", url]
    command += ["--elevenlabs-url", address]
    command += ["--voice", providers.voice if is_real else QUESTIONER.voice]
    keys = {**environment, "ELEVENLABS_API_KEY": speaks.key if is_real else STANDIN_KEY}
    who = "ElevenLabs" if is_real else "the stand-in"
    print(f"A conversation, whose questions {who} speaks (DEMO=no leaves it out):", flush=True)
    return subprocess.run(command, cwd=ROOT, env=keys, check=False).returncode


def _say_why(log: Path, parameters: Iterable[str]) -> None:
    advice = in_variables(last_advice(log), {*parameters, *CHOSEN_PARAMETERS})
    print(wrap(f"{advice or 'No function said why.'} The whole log: {_shown(log)}"), flush=True)


def in_variables(advice: str, parameters: Iterable[str]) -> str:
    """Return an advice about parameters as one about what a run is told: `VOICE_ID`, `VOICE=`."""
    settings = {parameter: f"{setting}=" for setting, parameter in SETTINGS.items()}
    names = "|".join(sorted(parameters, key=len, reverse=True))
    return re.sub(rf"\b({names})\b", lambda name: settings.get(name[1], variable(name[1])), advice)


def _say_where(stack: Mapping[str, Any], token: str) -> None:
    url = stack["websocket_url"]
    option = "" if url == DEFAULT_URL else f"--url {url} "
    over_http = "".join(
        f"\nOver HTTP:      {stage['http_url']}"
        for api in stack["http_apis"].values()
        for stage in api["stages"].values()
    )
    over_http_url = next((api["http_url"] for api in stack["http_apis"].values()), "")
    page = stack["static_url"] + (f"?http={over_http_url}" if over_http_url else "")
    page += f"#token={token}" if token else ""
    print(
        f"\nThe page:       {page}"
        f"\nThe WebSocket:  {url}"
        f"{over_http}"
        f"\nThe inspector:  {stack['inspector_url']}"
        f"\nAWS tools:      export AWS_CONFIG_FILE={stack['aws_config_file']}"
        f"\n                aws --profile {PROFILE} …"
        f'\nFrom a shell:   .venv/bin/talk {option}"What time is it?"'
    )


def _say_who_may_connect(origins: str) -> None:
    """Say it, and last how to end: programs wait for that line."""
    if "*" in [entry.strip() for entry in origins.split(",")]:
        print("Pages:          every page that is open in a browser may connect")
    else:
        more = f", and of {origins}" if origins else ""
        example = f"{variable(ORIGINS)}=http://localhost:5173 make run"
        print(f"Pages:          those of this address{more} may connect; for more:")
        print(f"                {example}")
    print("\nCtrl-C stops everything.", flush=True)


def main(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C; what goes wrong is one sentence."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(
            arguments.port,
            {
                parameter: getattr(arguments, setting.lower()) or ""
                for setting, parameter in SETTINGS.items()
            },
            pair=getattr(arguments, PAIR.lower()) or PAIRS[0],
            demo=arguments.demo,
            stay=not arguments.once,
            log_folder=arguments.logs,
            db_path=arguments.db_path,
        )
    except CannotRun as problem:
        print(wrap(str(problem)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
