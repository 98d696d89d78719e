/** What an address holds of secrets stays out of sentences, their causes, and what they are told with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { Conversation } from "../conversation.js";
import { ask } from "../http-request.js";
import { shownUrl } from "../shown-url.js";
import { AnyWebSocket, FakePresence } from "./fakes.js";

const SECRET = "geheim";

for (const [url, shown] of [
  ["wss://api.example/dev", "wss://api.example/dev"],
  ["ws://127.0.0.1:9/dev/", "ws://127.0.0.1:9/dev/"],
  ["wss://api.example/dev?token=geheim", "wss://api.example/dev"],
  ["wss://api.example/dev?a=b?token=geheim", "wss://api.example/dev"],
  ["wss://api.example/dev#token=geheim", "wss://api.example/dev"],
  ["wss://me:geheim@api.example/dev", "wss://api.example/dev"],
  ["wss://geheim@api.example:8443/dev", "wss://api.example:8443/dev"],
  ["wss:\\\\me:geheim@api.example\\dev", "wss://api.example/dev"],
  ["https://me:geheim@api.example/a@b", "https://api.example/a@b"],
  ["wss://me:ge@heim:geheim@api.example/dev?x", "wss://api.example/dev"],
  ["//me:geheim@api.example/dev", "…"],
  ["me:geheim@api.example/dev", "…"],
  ["api.example/dev?token=geheim", "api.example/dev"],
  ["ws://me:geheim@[::1/dev?token=geheim", "ws://…"],
  ["ws://me:geheim@host:99999/dev", "ws://…"],
  ["ws://me:ge/geheim@host/dev", "ws://…"],
  ["ws://me:ge?geheim@host/dev", "ws://…"],
  ["api.example/dev?mail=a@b&token=geheim", "…"],
  ["ws://host:99999/dev?token=geheim", "ws://host:99999/dev"],
  ["ws://api.example", "ws://api.example"],
  ["ws://api.example?token=geheim", "ws://api.example"],
  ["", ""],
  ["ws://", "ws://"],
]) {
  test(`“${url}” is shown as “${shown}”`, () => {
    assert.equal(shownUrl(String(url)), shown);
  });
}

for (const url of [
  "ws://127.0.0.1:9/dev?token=geheim",
  "ws://me:geheim@127.0.0.1:9/dev",
  "ws://127.0.0.1:9/dev#token=geheim",
  "ftp://me:geheim@127.0.0.1/dev",
  "me:geheim@127.0.0.1:9/dev?token=geheim",
  "ws://me:geheim@[::1/dev",
]) {
  for (const over of ["WebSocket", "HTTP"]) {
    test(`${over}: no secret of ${url} is told`, async (t) => {
      const presence = new FakePresence();
      const http = { httpUrl: url.replace(/^ws/, "http") };
      const address = over === "HTTP" ? "ws://127.0.0.1:9/dev" : url;
      const mine = { presence, WebSocket: AnyWebSocket, attempts: 2, baseDelayMs: 0 };
      const options = { ...mine, ...(over === "HTTP" && http) };
      const conversation = new Conversation(address, options);
      t.after(() => conversation.close());
      const reason = await conversation.connect().then(
        () => assert.fail("it is connected"),
        (problem) => problem,
      );
      assert.equal(inspect(reason, { depth: 9 }).includes(SECRET), false, inspect(reason));
    });
  }
}

test("what is unreachable names its address, for whoever writes another sentence", async () => {
  const url = "http://me:geheim@127.0.0.1:9/api/sessions?token=geheim";
  await assert.rejects(ask(url, { timeoutMs: 1_000 }), {
    code: "unreachable",
    url: "http://127.0.0.1:9/api/sessions",
  });
});
