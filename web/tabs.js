/** Tabs, as the ARIA Authoring Practices have them: arrows move, what has the focus is shown. */

/**
 * @param {HTMLElement} root with `[role=tab]`s that name their `[role=tabpanel]`s
 * @returns {(id: string) => void} shows the one of a tab
 */
export function showTabs(root) {
  const tabs = [...root.querySelectorAll("[role=tab]")].filter((tab) => tab instanceof HTMLElement);
  /** @param {HTMLElement} chosen */
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      const section = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      if (section) section.hidden = tab !== chosen;
    }
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      const next = step && tabs[(index + step + tabs.length) % tabs.length];
      if (!next) return;
      choose(next);
      next.focus();
    });
  });
  return (id) => {
    const tab = tabs.find((each) => each.id === id);
    if (tab) choose(tab);
  };
}
