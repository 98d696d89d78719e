"""The page on screens of all sizes: nothing is cut off, nothing lies over anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.page_states import IN_ONE_PAGE, STATES, prepare
from tests.browser.scripted import ScriptedServer

Look = tuple[int, int, Literal["light", "dark"]]
SIZES = ((320, 568), (390, 844), (844, 390), (640, 400), (1280, 800))

# What is wrong with the layout, in words.
LOOK = """() => {
    const problems = [];
    const name = (element) => element.id || element.className || element.textContent.slice(0, 30);
    const isShown = (element) =>
        element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
        !element.closest(".hidden, [inert]");
    const all = [...document.querySelectorAll("body *")].filter(isShown);
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) problems.push(`it is ${root.scrollWidth} px wide`);
    if (root.scrollHeight > innerHeight) problems.push(`it is ${root.scrollHeight} px high`);
    const scrolls = (element) => element.closest(".talk, .panel, dialog, .link form");
    for (const element of all) {
        const { left, right, top, bottom, width } = element.getBoundingClientRect();
        if (width && (left < -0.5 || right > innerWidth + 0.5))
            problems.push(`${name(element)} sticks out at the side`);
        if (!scrolls(element) && (top < -0.5 || bottom > innerHeight + 0.5))
            problems.push(`${name(element)} sticks out above or below`);
        if (element.matches("button, summary, label, h1, h2, p, dd, dt") &&
            !element.closest(".events summary") && element.scrollWidth > element.clientWidth + 1 &&
            getComputedStyle(element).display !== "inline")
            problems.push(`${name(element)} is cut off`);
    }
    const controls = all.filter((element) => element.matches("button, input, select, summary"));
    const over = document.querySelector("dialog[open], .panel:not([hidden])");
    for (const control of controls) {
        if (scrolls(control) || (over && !over.contains(control))) continue;
        const { left, top, width, height } = control.getBoundingClientRect();
        const hit = document.elementFromPoint(left + width / 2, top + height / 2);
        if (!hit || !(control.contains(hit) || hit.contains(control)))
            problems.push(`${name(control)} lies under ${hit && name(hit)}`);
        for (const other of controls) {
            const box = other.getBoundingClientRect();
            const apart = other === control
                || box.left >= left + width - 0.5 || box.right <= left + 0.5
                || box.top >= top + height - 0.5 || box.bottom <= top + 0.5;
            if (!apart && !scrolls(other)) problems.push(`${name(control)} lies on ${name(other)}`);
        }
    }
    const panel = document.querySelector(".panel");
    const talk = document.querySelector("#talk");
    const place = panel.hidden ? talk : panel;
    if (place.clientHeight < 90)
        problems.push(`${name(place)} is only ${place.clientHeight} px high`);
    return problems;
}"""


def look(page: Page) -> list[str]:
    """What is wrong with the page as it is."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return list(page.evaluate(LOOK))


def look_at_all_sizes(page: Page, folder: Path, state: str) -> list[str]:
    """What is wrong with the page in any size; each that is wrong is photographed, and two more."""
    found = []
    # The colours change no box.
    looks: list[Look] = [*((*size, "light") for size in SIZES), (390, 844, "dark")]
    for width, height, scheme in looks:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        problems = look(page)
        found += [f"{state}, {width}x{height}, {scheme}: {problem}" for problem in problems]
        if problems or scheme == "dark" or (width, height) == SIZES[-1]:
            name = f"fits-{state}-{width}x{height}-{scheme}.png".replace(" ", "-")
            page.screenshot(path=folder / name)
    page.set_viewport_size({"width": SIZES[-1][0], "height": SIZES[-1][1]})
    return found


def give_up(page: Page, server: ScriptedServer) -> None:
    """The attempts are used up, and the longest notice is there."""
    # Hardly any time between the attempts.
    with page.add_init_script("Math.random = () => 0.01"):
        page.reload()
    page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
    STATES["conversation"](page, server)
    server.refuse = True
    server.drop()
    page.wait_for_selector("#state[data-state=failed]")
    expect(page.get_by_role("alert")).to_contain_text("The server answers, but")


LOOKED_AT = {**STATES, "given up": give_up}
TOGETHER = (*IN_ONE_PAGE[:-1], (*IN_ONE_PAGE[-1], "given up"))


def test_every_state_is_looked_at() -> None:
    assert sorted(state for states in TOGETHER for state in states) == sorted(LOOKED_AT)


@pytest.mark.parametrize("states", TOGETHER, ids=", ".join)
def test_nothing_is_cut_off_or_covered_on_any_screen(
    states: tuple[str, ...], open_page: Open, server: ScriptedServer, artifacts: Path
) -> None:
    prepare(server)
    page = open_page(reduced_motion="reduce")
    found = []
    for state in states:
        # What a state waits for is what it has caused itself.
        server.received.clear()
        LOOKED_AT[state](page, server)
        found += look_at_all_sizes(page, artifacts, state)
    assert found == [], "\n".join(found)
