/** A link to the page: it decides nothing about whom the user talks to, and as whom. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { isOwn, readHttpUrl, readWebSocketUrl, serverAt } from "../../../web/address.js";
import { hasToken } from "../../../web/link.js";
import { addressToOpen } from "../../../web/startup.js";
import { keepToken, tokenFor } from "../../../web/token.js";
import { isTrusted, remember, trust, usualAddress } from "../../../web/trust.js";
import { openPage } from "./page.js";

const PAGE = "http://talk.example:8000/";
const OWN = "ws://talk.example:8000/dev";

/** What the user is asked, and whom it is about. */
function asked() {
  const dialog = /** @type {HTMLDialogElement} */ (document.querySelector("#question"));
  if (!dialog.open) return undefined;
  return {
    title: document.querySelector("#question-title")?.textContent,
    hosts: [...document.querySelectorAll("#question-hosts .host")].map((it) => it.textContent),
    warnings: [...document.querySelectorAll("#question-hosts .warning")].map((it) => it.textContent),
  };
}

/** @param {"yes" | "no"} what */
function answer(what) {
  /** @type {HTMLButtonElement} */ (document.querySelector(`#question-${what}`)).click();
}

/** @param {Record<string, string>} query */
const linkTo = (query) => `${PAGE}?${new URLSearchParams(query)}`;

const CONNECT = "Connect to another server?";
const FOREIGN = {
  "another host": "ws://evil.example:9/dev",
  "another port of the page's host": "ws://talk.example:9/dev",
  "the page's host before the at sign": "ws://talk.example@evil.example:9/dev",
  "a name and a password": "ws://talk.example:80@evil.example:9/dev",
  "no slashes": "ws:evil.example:9/dev",
  "back slashes": "ws:\\\\evil.example:9\\dev",
  capitals: "WS://EVIL.EXAMPLE:9/dev",
  "spaces around it": "  ws://evil.example:9/dev ",
  "a line break in it": "ws://ev\nil.example:9/dev",
  "http for ws": "http://evil.example:9/dev",
  "the page's host in the path": "ws://evil.example:9/talk.example",
  "the page's host in the query": "ws://evil.example:9/?talk.example",
  "the page's host as a subdomain": "ws://talk.example.evil.example:9/dev",
  "the page's host as an ending": "ws://evil-talk.example:9/dev",
  "a dot after the page's host": "ws://talk.example.:9/dev",
  loopback: "ws://127.0.0.1:9/dev",
  "loopback as one number": "ws://2130706433:9/dev",
  "the page's server encrypted": "wss://talk.example:8000/dev",
};

for (const [what, url] of Object.entries(FOREIGN)) {
  test(`a link to a host that is not the page's own is asked about: ${what}`, async (t) => {
    openPage(t, `${linkTo({ url })}#token=theirs`);
    const opening = addressToOpen();
    assert.equal(asked()?.title, CONNECT);
    answer("no");
    assert.deepEqual(await opening, {});
    assert.equal(location.href, PAGE, "a reload does not ask again");
    assert.deepEqual([localStorage.length, sessionStorage.length], [0, 0]);
  });
}

for (const url of ["//evil.example/dev", "/dev", "evil.example", "javascript:alert(1)", "ws://", "x"]) {
  test(`a link to “${url}” leads nowhere`, async (t) => {
    openPage(t, linkTo({ url }));
    const opening = addressToOpen();
    assert.equal(asked()?.title, "This link leads nowhere");
    answer("no");
    assert.deepEqual(await opening, {});
  });
}

for (const text of ["", "x", "//evil.example", "ftp://a.example", "wss://", "ws:"]) {
  test(`“${text}” is no address`, () => {
    assert.equal(readWebSocketUrl(text), undefined);
    assert.equal(readHttpUrl(text), undefined);
  });
}

for (const [host, shown] of /** @type {const} */ ([
  ["evil.example", "evil.example"],
  ["tаlk.example", "xn--tlk-6cd.example"],
  ["münchen.example", "xn--mnchen-3ya.example"],
  ["EVIL.example", "evil.example"],
  [`talk.example.${"long.".repeat(40)}evil.example`, `talk.example.${"long.".repeat(40)}evil.example`],
])) {
  test(`the host ${host} is shown in full and as what it is`, (t) => {
    openPage(t, linkTo({ url: `ws://talk.example@${host}:9/dev` }));
    void addressToOpen();
    assert.deepEqual(asked()?.hosts, [`${shown}:9`]);
    assert.match(String(asked()?.warnings), /not encrypted/);
  });
}

test("who says yes is not asked again, and stays with the usual server without a link", async (t) => {
  const link = linkTo({ url: "ws://evil.example:9/dev" });
  const { happyDOM } = openPage(t, link);
  const opening = addressToOpen();
  answer("yes");
  const address = { url: "ws://evil.example:9/dev", httpUrl: false };
  assert.deepEqual(await opening, { address, isSomebodyElse: false });
  happyDOM.setURL(link);
  assert.deepEqual(await addressToOpen(), { address, isSomebodyElse: false });
  assert.equal(asked(), undefined);
  assert.equal(usualAddress().url, OWN);
});

test("what was typed is trusted, its downgrade and its neighbours are not", (t) => {
  openPage(t, PAGE);
  const mine = { url: "wss://mine.example/dev", httpUrl: /** @type {const} */ (false) };
  trust(mine);
  remember(mine.url);
  assert.ok(isTrusted(mine));
  assert.ok(isTrusted({ ...mine, url: "wss://mine.example/other" }));
  for (const url of ["ws://mine.example/dev", "wss://mine.example:8443/dev", "wss://a.mine.example/dev"]) {
    assert.ok(!isTrusted({ url, httpUrl: false }), url);
  }
  assert.ok(!isTrusted({ ...mine, httpUrl: "https://mine.example/" }), "of HTTP nothing was said");
});

test("an HTTP address that was agreed to is agreed to for one server only", (t) => {
  openPage(t, PAGE);
  const httpUrl = "https://other.example/";
  trust({ url: "wss://one.example/dev", httpUrl });
  trust({ url: "wss://two.example/dev", httpUrl: false });
  assert.ok(isTrusted({ url: "wss://one.example/dev", httpUrl }));
  assert.ok(!isTrusted({ url: "wss://two.example/dev", httpUrl }));
});

for (const [what, query] of /** @type {[string, Record<string, string>][]} */ ([
  ["the page's own server", { http: "http://evil.example:9/" }],
  ["a server that was chosen", { url: "ws://mine.example:9/dev", http: "http://evil.example:9/" }],
])) {
  test(`an HTTP address of a link is asked about, for ${what}`, async (t) => {
    openPage(t, linkTo(query));
    trust({ url: "ws://mine.example:9/dev", httpUrl: false });
    const opening = addressToOpen();
    assert.equal(asked()?.title, CONNECT);
    assert.equal(asked()?.hosts[1], "evil.example:9");
    answer("no");
    assert.deepEqual(await opening, {});
  });
}

for (const [page, url, own] of /** @type {const} */ ([
  ["http://localhost:8000/", "ws://127.0.0.1:9/dev", true],
  ["http://127.0.0.1:8000/", "ws://localhost:9/dev", true],
  ["http://127.0.0.1:8000/", "ws://[::1]:9/dev", true],
  ["http://127.0.0.1:8000/", "ws://a.localhost:9/dev", true],
  ["http://127.0.0.1:8000/", "ws://127.0.0.1.evil.example/dev", false],
  ["http://127.0.0.1:8000/", "ws://localhost.evil.example/dev", false],
  ["https://talk.example/", "ws://localhost:9/dev", false],
])) {
  test(`to ${page} ${url} is ${own ? "its own" : "somebody else's"}`, (t) => {
    openPage(t, page);
    assert.equal(isOwn({ url, httpUrl: false }), own);
  });
}

for (const httpUrl of ["", "https://http.talk.example/api"]) {
  for (const more of [
    "?token=attacker",
    "?x",
    "?x=1&token=attacker",
    "?TOKEN=attacker",
    "%3Ftoken=attacker",
    "/?token=attacker",
    "/other",
    "/../other?token=attacker",
    "//",
    ";token=attacker",
    "",
  ]) {
    test(`a link to the page's own server with “${more}” changes nothing${httpUrl && ", with HTTP"}`, async (t) => {
      const named = "wss://api.talk.example/dev";
      openPage(t, linkTo({ url: named + more }), { url: named, httpUrl });
      const own = { url: named, httpUrl: httpUrl || false };
      keepToken(/** @type {import("../../../web/address.js").Address} */ (own), "mine");
      const { address, isSomebodyElse } = await addressToOpen();
      assert.equal(asked(), undefined);
      assert.deepEqual(address, own);
      assert.ok(address);
      assert.equal(isSomebodyElse, false);
      assert.equal(tokenFor(address), "mine");
    });
  }
}

test("a token is shown to the address that it came with, and to no other", (t) => {
  openPage(t, PAGE);
  const mine = { url: "ws://mine.example/dev", httpUrl: /** @type {const} */ (false) };
  keepToken(mine, "secret");
  assert.equal(tokenFor(mine), "secret");
  for (const other of [
    { ...mine, url: "ws://mine.example/other" },
    { ...mine, url: "ws://evil.example/dev" },
    { ...mine, httpUrl: "http://evil.example/" },
  ]) {
    assert.equal(tokenFor(other), undefined, serverAt(other));
  }
});

for (const agrees of [false, true]) {
  for (const more of ["", "/other"]) {
    test(`a token is ${agrees ? "" : "not "}replaced by one for the server${more} if the user ${agrees ? "agrees" : "does not"}`, async (t) => {
      const url = "ws://127.0.0.1:9/dev";
      openPage(t, `http://localhost:8000/?${new URLSearchParams({ url: url + more })}#token=theirs`);
      keepToken({ url, httpUrl: false }, "mine");
      const opening = addressToOpen();
      assert.equal(asked()?.title, "Sign in as somebody else?");
      assert.deepEqual(asked()?.hosts, ["127.0.0.1:9"]);
      answer(agrees ? "yes" : "no");
      const { address, isSomebodyElse } = await opening;
      assert.equal(isSomebodyElse, agrees);
      assert.ok(!location.href.includes("token"));
      assert.ok(address);
      const before = more ? undefined : "mine";
      assert.equal(tokenFor(address), agrees ? "theirs" : before);
    });
  }
}

test("the same token again asks nothing", async (t) => {
  const url = "ws://127.0.0.1:9/dev";
  openPage(t, `http://localhost:8000/?${new URLSearchParams({ url })}#token=mine`);
  keepToken({ url, httpUrl: false }, "mine");
  assert.deepEqual(await addressToOpen(), { address: { url, httpUrl: false }, isSomebodyElse: false });
});

for (const [fragment, is] of /** @type {const} */ ([
  ["#token=x", true],
  ["#a=b&token=x", true],
  ["#top", false],
  ["#", false],
  ["", false],
  ["#token=", false],
  ["#tokens=x", false],
  ["#/route?token=x", false],
])) {
  test(`the fragment “${fragment}” holds ${is ? "a" : "no"} token`, (t) => {
    openPage(t, PAGE + fragment);
    assert.equal(hasToken(), is);
  });
}
