"""What `make run` runs: this project on one machine, from nothing to a conversation.

Starts the stand-ins (or uses the real services whose keys are in the environment), the
local stack with this project's template, has a spoken conversation held with it, and
serves the page until Ctrl-C. It knows the template's parameters and the demo's command
line, and nothing else of the project.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samwire.services.own_key import PROFILE

ROOT = Path(__file__).resolve().parent.parent
ELEVENLABS_URL = "https://api.elevenlabs.io"
OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_URL = "ws://localhost:3001/dev"
STANDIN_KEY = "standin-key"
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
REFUSAL_LINES = 40
"""Of why a process did not start: a refused template has a line for each fault."""


class CannotRun(Exception):
    """Something is missing or in the way; says what to do."""


@dataclass(frozen=True)
class Providers:
    """Which services are used: the real ones or the stand-ins."""

    elevenlabs_url: str
    elevenlabs_key: str
    llm_url: str
    llm_key: str
    llm_model: str
    real_speech: bool
    real_llm: bool

    @classmethod
    def chosen(cls, environment: Mapping[str, str]) -> Providers:
        """What the environment variables ask for; URLs of stand-ins are still empty."""
        speech_key = environment.get("ELEVENLABS_API_KEY", "")
        llm_key = environment.get("LLM_API_KEY", "")
        llm_url = environment.get("LLM_BASE_URL", "")
        real_llm = bool(llm_key or llm_url)
        real_speech = bool(speech_key)
        return cls(
            elevenlabs_url=(environment.get("ELEVENLABS_BASE_URL") or ELEVENLABS_URL)
            if real_speech
            else "",
            elevenlabs_key=speech_key or STANDIN_KEY,
            llm_url=(llm_url or OPENAI_URL) if real_llm else "",
            llm_key=llm_key if real_llm else STANDIN_KEY,
            llm_model=environment.get("LLM_MODEL") or ("gpt-4o-mini" if real_llm else "standin"),
            real_speech=real_speech,
            real_llm=real_llm,
        )

    def with_standins(self, elevenlabs_url: str, llm_url: str) -> Providers:
        """The same with the stand-ins' URLs where no real service was asked for."""
        return Providers(
            self.elevenlabs_url or elevenlabs_url,
            self.elevenlabs_key,
            self.llm_url or llm_url,
            self.llm_key,
            self.llm_model,
            self.real_speech,
            self.real_llm,
        )

    @property
    def stand_ins(self) -> list[str]:
        """The stages whose provider stands in for a real one."""
        speech = [] if self.real_speech else ["transcriber", "synthesizer"]
        return speech if self.real_llm else [*speech, "responder"]

    def check(self) -> None:
        """Ask the real services whether they take the keys.

        Raises:
            CannotRun: one does not, or cannot be reached.
        """
        if self.real_speech:
            _check(
                f"{self.elevenlabs_url}/v1/models",
                {"xi-api-key": self.elevenlabs_key},
                "ElevenLabs",
                "ELEVENLABS_API_KEY",
            )
        if self.real_llm:
            headers = {"Authorization": f"Bearer {self.llm_key}"} if self.llm_key else {}
            _check(f"{self.llm_url.rstrip('/')}/models", headers, "The LLM", "LLM_API_KEY")


def _check(url: str, headers: dict[str, str], who: str, variable: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise CannotRun(f"{url} is no http or https URL. Set LLM_BASE_URL or ELEVENLABS_BASE_URL.")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "parley", **headers})  # noqa: S310 - checked above
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  # nosec B310  # checked
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise CannotRun(
                f"{who} refused the key in {variable} (HTTP {error.code}). Set a valid one, or "
                f"unset it to use the stand-in."
            ) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise CannotRun(f"{who} cannot be reached at {url}: {reason}.") from None


@contextlib.contextmanager
def _process(
    command: list[str], log: Path, environment: Mapping[str, str], told: str = ""
) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """A process of ours that prints one JSON line when it is ready: that line, and the process.

    Args:
        told: on its standard input; unlike a command line, nobody else can read that.
    """
    with log.open("w") as stderr:
        child = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; we end our children in order
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), child.stdin:
                child.stdin.write(told)
            line = child.stdout.readline()
            if not line:
                child.wait()
                why = _last_words(log, REFUSAL_LINES)
                raise CannotRun(why or f"{' '.join(command)} did not start.")
            yield json.loads(line), child
        finally:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)


def _last_words(log: Path, lines: int = 1) -> str:
    return "\n".join(log.read_text().strip().splitlines()[-lines:])


def run(port: int, *, demo: bool, stay: bool, log_folder: Path) -> int:
    """Start everything, hold the conversation, serve the page.

    Returns:
        the exit code.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    quiet = {name: value for name, value in environment.items() if name not in SECRETS}
    providers = Providers.chosen(environment)
    providers.check()
    log_folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running:
        standins, _ = running.enter_context(
            _process(
                [
                    *("-m", "parley_standins", "--exit-with-parent"),
                    *("--api-key", STANDIN_KEY, "--llm-api-key", STANDIN_KEY),
                ],
                log_folder / "standins.log",
                quiet,
            )
        )
        providers = providers.with_standins(standins["elevenlabs_url"], standins["llm_url"])
        log, given = (
            log_folder / "stack.log",
            json.dumps(_parameters(providers, environment, standins["voices"])),
        )
        stack, child = running.enter_context(_process(_start_command(port), log, quiet, given))
        _say_what_runs(providers, log_folder)
        if demo and _needs_a_token(environment):
            print("No conversation is held: AUTH_MODE wants a token. Put one into PARLEY_TOKEN.")
        elif demo:
            code = _hold_conversation(stack["websocket_url"], providers, environment)
            if code or not stay:
                return code
        _say_where(stack, environment.get("PARLEY_TOKEN", ""))
        _say_who_may_connect(environment.get(_variable(ORIGINS), ""))
        if stay:
            child.wait()  # until Ctrl-C or SIGTERM raises KeyboardInterrupt
            raise CannotRun(f"The stack has ended. {_last_words(log) or 'It did not say why.'}")
    return 0


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


def _start_command(port: int) -> list[str]:
    return [
        *("-m", "samwire", "start", "--json"),
        *("--template", str(ROOT / "template.yaml")),
        *("--port", str(port), "--tls-port", "0", "--prewarm", "1"),
        *("--static", str(ROOT / "web"), "--static", f"/client={ROOT / 'client' / 'js'}"),
        *("--parameter-file", "-", "--own-origins", ORIGINS),
    ]


def _say_what_runs(providers: Providers, log_folder: Path) -> None:
    speech = "ElevenLabs" if providers.real_speech else "a stand-in (set ELEVENLABS_API_KEY)"
    mind = providers.llm_model if providers.real_llm else "a stand-in (set LLM_API_KEY)"
    print(f"Speech: {speech}\nLanguage model: {mind}\nLogs: {_shown(log_folder)}/\n", flush=True)


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _hold_conversation(url: str, providers: Providers, environment: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", "parley_client.demo", "--url", url]
    command += ["--elevenlabs-url", providers.elevenlabs_url]
    command += ["--voice", environment.get("VOICE_ID") or VOICE]
    keys = {**environment, "ELEVENLABS_API_KEY": providers.elevenlabs_key}
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
        f"\nAWS tools:      AWS_CONFIG_FILE={stack['aws_config_file']} aws --profile {PROFILE} …"
        f'\nFrom a shell:   .venv/bin/talk {option}"What time is it?"'
    )


def _say_who_may_connect(origins: str) -> None:
    """Say it, and last how to end: programs wait for that line."""
    if "*" in [entry.strip() for entry in origins.split(",")]:
        print("Pages:          every page that is open in a browser may connect")
    else:
        more = f", and of {origins}" if origins else ""
        example = f"{_variable(ORIGINS)}=http://localhost:5173 make run"
        print(f"Pages:          those of this address{more} may connect; for more: {example}")
    print("\nCtrl-C stops everything.", flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `python -m dev` takes."""
    parser.add_argument("--port", type=int, default=3001, help="of API and page (default 3001)")
    parser.add_argument("--no-demo", action="store_true", help="hold no conversation at the start")
    parser.add_argument("--once", action="store_true", help="stop after the conversation")
    parser.add_argument(
        "--logs",
        type=Path,
        default=ROOT / ".local" / "logs",
        help="folder for the logs of stack and stand-ins",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C; what goes wrong is one sentence."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(
            arguments.port,
            demo=not arguments.no_demo,
            stay=not arguments.once,
            log_folder=arguments.logs,
        )
    except CannotRun as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
