// Sends one message by n8n's own chat client, and prints what it read as one line of JSON:
// node client.js URL AUTHORIZATION SESSION TEXT streaming|whole

// The client draws a window and exports nothing else. Its requests and its parser are taken out of
// the published bundle, as they are, and run.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const BUNDLE = createRequire(import.meta.url).resolve("@n8n/chat/dist/chat.es.js");
const REGIONS = ["src/api/generic.ts", "src/api/message.ts"];

function region(source, name) {
  const found = source.split(`//#region ${name}\n`);
  if (found.length !== 2) throw new Error(`${name} is not once in the bundle`);
  return found[1].split("//#endregion")[0];
}

async function load() {
  const source = readFileSync(BUNDLE, "utf8");
  const code = REGIONS.map((name) => region(source, name)).join("\n");
  // In the order of its source: loadPreviousSession, sendMessage, sendMessageStreaming, …
  const names = [...region(source, REGIONS[1]).matchAll(/^async function (\w+)\(/gm)];
  const [loadPreviousSession, sendMessage, sendMessageStreaming] = names.map((name) => name[1]);
  const exported = `export { ${loadPreviousSession} as loadPreviousSession, ${sendMessage} as
    sendMessage, ${sendMessageStreaming} as sendMessageStreaming };`;
  const module = Buffer.from(`${code}\n${exported}`).toString("base64");
  return import(`data:text/javascript;base64,${module}`);
}

const [webhookUrl, authorization, session, text, mode] = process.argv.slice(2);
const options = {
  webhookUrl,
  webhookConfig: { method: "POST", headers: { Authorization: authorization } },
  chatInputKey: "chatInput",
  chatSessionKey: "sessionId",
  metadata: { instructions: "Be brief." },
};
const { loadPreviousSession, sendMessage, sendMessageStreaming } = await load();
const events = [];
const read = { events };
try {
  if (mode === "streaming") {
    const { hasReceivedChunks } = await sendMessageStreaming(text, [], session, options, {
      onBeginMessage: (node, run) => events.push(["begin", node, run]),
      onChunk: (chunk, node, run) => events.push(["chunk", node, run, chunk]),
      onEndMessage: (node, run) => events.push(["end", node, run]),
    });
    read.hasReceivedChunks = hasReceivedChunks;
  } else {
    read.previous = await loadPreviousSession(session, options);
    read.answer = await sendMessage(text, [], session, options);
  }
} catch (error) {
  read.error = String(error);
}
console.log(JSON.stringify(read));
