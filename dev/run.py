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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.children import Child, follow, last_words, start
from dev.errors import CannotRun
from dev.providers import KEYS, STANDIN_KEY, Providers
from dev.steps import Steps, wrap
from samwire.services.own_key import PROFILE

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
DEFAULT_URL = "ws://localhost:3001/dev"
VOICE = "21m00Tcm4TlvDq8ikWAM"
"""Asks the questions of the demo; the stand-in recognises this one best."""
ORIGINS = "AllowedOrigins"
"""The parameter that says which pages may connect; those that are served here may anyway."""
CHOSEN_PARAMETERS = (
    "VoiceId",
    "SpeechModel",
    "TranscriptionModel",
    "SystemPrompt",
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
)
"""Parameters of the template that environment variables choose: `VoiceId` is `VOICE_ID`."""
SECRETS = frozenset({"ELEVENLABS_API_KEY", "LLM_API_KEY", "AUTH_SECRET", "PARLEY_TOKEN"})
"""Variables that neither stand-ins nor stack inherit: the stack has them as parameters."""


def run(port: int, *, demo: str | None, stay: bool, log_folder: Path) -> int:
    """Start everything, hold the conversation, serve the page.

    Args:
        demo: `yes` or `no`; None for a conversation that costs nothing.

    Returns:
        the exit code.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    quiet = {name: value for name, value in environment.items() if name not in SECRETS}
    providers = Providers.chosen(environment)
    steps = Steps(sys.stdout)
    if providers.real_speech or providers.real_llm:
        with steps.step("Asking the services whether they take the keys"):
            providers.check()
    log = log_folder / "stack.log"
    try:
        log_folder.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise CannotRun(f"No logs can be written to {log_folder}: {error.strerror}.") from None
    with contextlib.ExitStack() as running:
        # Both import for a second or more, at the same time: the emulator waits for parameters.
        emulator = running.enter_context(start(_emulator_command(port), log, quiet))
        voices = running.enter_context(
            start(_standins_command(), log_folder / "standins.log", quiet)
        )
        with steps.step("Starting the stand-ins: voice, recogniser, language model"):
            standins = voices.ready()
        providers = providers.with_standins(standins["elevenlabs_url"], standins["llm_url"])
        parameters = _parameters(providers, environment, standins["voices"])
        stack = _start_emulator(emulator, log, parameters, steps)
        _say_what_runs(providers, environment, log_folder)
        why_not = why_no_demo(demo, environment)
        if why_not:
            print(wrap(why_not), flush=True)
        else:
            code = _hold_conversation(stack["websocket_url"], providers, environment)
            if code or not stay:
                return code
        _say_where(stack, environment.get("PARLEY_TOKEN", ""))
        _say_who_may_connect(environment.get(_variable(ORIGINS), ""))
        if stay:
            emulator.wait()  # until Ctrl-C or SIGTERM raises KeyboardInterrupt
            raise CannotRun(f"The stack has ended. {last_words(log) or 'It did not say why.'}")
    return 0


def _start_emulator(
    emulator: Child, log: Path, parameters: Mapping[str, str], steps: Steps
) -> dict[str, Any]:
    def say(progress: str) -> None:
        steps.begin(f"Starting the emulator: {progress}")

    with steps.step("Starting the emulator"), follow(log, say):
        emulator.tell(json.dumps(parameters))
        return emulator.ready()


def why_no_demo(demo: str | None, environment: Mapping[str, str]) -> str:
    """Why no conversation is held, in a sentence; empty if one is."""
    if demo == "no":
        return "No conversation is held, as asked."
    if _needs_a_token(environment):
        return "No conversation is held: AUTH_MODE wants a token. Put one into PARLEY_TOKEN."
    keys = [name for name in KEYS if environment.get(name)]
    if keys and demo is None:
        return (
            f"No conversation is held, because {' and '.join(keys)} would pay for it. "
            "To hold it all the same: make run DEMO=yes"
        )
    return ""


def _variable(parameter: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()


def _needs_a_token(environment: Mapping[str, str]) -> bool:
    """Whether the API wants a token that the demo does not have."""
    wanted = environment.get("AUTH_MODE") or "off"
    return wanted != "off" and not environment.get("PARLEY_TOKEN")


def _parameters(
    providers: Providers, environment: Mapping[str, str], voices: Mapping[str, str]
) -> dict[str, str]:
    """Values of the template's parameters, keys and secrets among them.

    Args:
        voices: names of the stand-in's voices, by their ids.
    """
    given = {
        "ElevenLabsApiKey": providers.elevenlabs_key,
        "ElevenLabsBaseUrl": providers.elevenlabs_url,
        "LlmApiKey": providers.llm_key,
        "LlmBaseUrl": providers.llm_url,
        "LlmModel": providers.llm_model,
        "StandIns": ",".join(providers.stand_ins),
    }
    if not providers.real_speech:
        given["Voices"] = ",".join(f"{voice}={name}" for voice, name in voices.items())
        given["Languages"] = "en"
    for parameter in CHOSEN_PARAMETERS:
        if value := environment.get(_variable(parameter)):
            given[parameter] = value
    return given


def _standins_command() -> list[str]:
    return [
        *("-m", "parley_standins", "--exit-with-parent"),
        *("--api-key", STANDIN_KEY, "--llm-api-key", STANDIN_KEY),
    ]


def _emulator_command(port: int) -> list[str]:
    return [
        *("-m", "samwire", "start", "--json", "--progress"),
        *("--template", str(TEMPLATE)),
        *(["--no-lint"] if is_as_committed(TEMPLATE) else []),
        *("--port", str(port), "--tls-port", "0", "--prewarm", "1"),
        *("--static-dir", str(ROOT / "web"), "--static-dir", f"/client={ROOT / 'client' / 'js'}"),
        *("--parameter-file", "-", "--own-origins", ORIGINS),
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


def _say_what_runs(providers: Providers, environment: Mapping[str, str], log_folder: Path) -> None:
    speech = "ElevenLabs" if providers.real_speech else "a stand-in (set ELEVENLABS_API_KEY)"
    if providers.real_llm:
        model = providers.llm_model
    elif environment.get("SYSTEM_PROMPT"):
        model = "a stand-in, which ignores SYSTEM_PROMPT (set LLM_API_KEY)"
    else:
        model = "a stand-in (set LLM_API_KEY)"
    print(
        f"\nSpeech:         {speech}"
        f"\nLanguage model: {model}"
        f"\nLogs:           {_shown(log_folder)}/\n",
        flush=True,
    )


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _hold_conversation(url: str, providers: Providers, environment: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", "parley_client.demo", "--url", url]
    command += ["--elevenlabs-url", providers.elevenlabs_url]
    command += ["--voice", environment.get("VOICE_ID") or VOICE]
    keys = {**environment, "ELEVENLABS_API_KEY": providers.elevenlabs_key}
    who = "ElevenLabs" if providers.real_speech else "the stand-in"
    print(f"A conversation, whose questions {who} speaks (DEMO=no leaves it out):", flush=True)
    return subprocess.run(command, cwd=ROOT, env=keys, check=False).returncode


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
        example = f"{_variable(ORIGINS)}=http://localhost:5173 make run"
        print(f"Pages:          those of this address{more} may connect; for more:")
        print(f"                {example}")
    print("\nCtrl-C stops everything.", flush=True)


def main(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C; what goes wrong is one sentence."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(
            arguments.port,
            demo=arguments.demo,
            stay=not arguments.once,
            log_folder=arguments.logs,
        )
    except CannotRun as problem:
        print(wrap(str(problem)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
