#!/bin/sh
# @n8n/chat 1.37.0
# Guess: with enableStreaming, the client shows an answer in plain text, which it asks for
#   (`Accept: text/plain`), as it stands: what is no JSON goes to the reply.
# Behaviour: each line is a message of its own, or nothing. The ends of lines are lost, so that words
#   stick together and paragraphs go; and a line that happens to be JSON, such as a number, is lost.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm pack --silent @n8n/chat@1.37.0 >/dev/null
tar -xzf ./*.tgz
cat >read.mjs <<'JS'
import { readFileSync } from "node:fs";

// The bundle exports a window alone: its requests and its parser are cut out of it, and run.
const bundle = readFileSync("package/dist/chat.es.js", "utf8");
const start = bundle.indexOf("//#region src/api/message.ts");
const code = bundle.slice(start, bundle.indexOf("//#endregion", start));
const before = code.slice(0, code.indexOf(".body.pipeThrough("));
const name = [...before.matchAll(/async function (\w+)\(/g)].pop()[1];
const url = `data:text/javascript,${encodeURIComponent(`${code}\nexport { ${name} as send };`)}`;
const { send } = await import(url);

const ANSWER = "The answer to it:\n\n42\n\nThat is all.\n";
let accepted;
globalThis.fetch = async (_url, request) => {
  accepted = request.headers.Accept;
  return new Response(ANSWER, { headers: { "Content-Type": "text/plain" } });
};
const shown = [];
const options = { webhookUrl: "http://test", chatInputKey: "chatInput", chatSessionKey: "sessionId" };
await send("How much?", [], "session", options, {
  onBeginMessage() {},
  onChunk: (text) => shown.push(text),
  onEndMessage() {},
});
console.log(`asked for ${accepted}, and answered: ${JSON.stringify(ANSWER)}`);
console.log(`shown: ${JSON.stringify(shown.join(""))}`);
process.exit(
  accepted === "text/plain" && shown.join("") === "The answer to it:That is all." ? 0 : 1,
);
JS
node read.mjs
