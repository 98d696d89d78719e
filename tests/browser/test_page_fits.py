"""The page on screens of all sizes: nothing is cut off, nothing lies over anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.page_states import STATES, prepare
from tests.browser.scripted import ScriptedServer

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


def photograph(page: Page, folder: Path, name: str, scheme: str = "light") -> list[str]:
    """Look at the page in all sizes, and say what is wrong."""
    found = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        page.screenshot(
            path=folder / f"fits-{name}-{width}x{height}-{scheme}.png".replace(" ", "-")
        )
        found += [f"{width}x{height}: {problem}" for problem in page.evaluate(LOOK)]
    return found


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_cut_off_or_covered_on_any_screen(
    state: str, open_page: Open, server: ScriptedServer, artifacts: Path
) -> None:
    prepare(server)
    page = open_page(reduced_motion="reduce")
    STATES[state](page, server)
    found = photograph(page, artifacts, state)
    page.emulate_media(color_scheme="dark")
    found += photograph(page, artifacts, state, "dark")
    assert found == [], "\n".join(found)
