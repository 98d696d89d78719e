// Stops turns with the JavaScript client before they begin, and says what the user was shown.
//   node stop_early.mjs <client/js/index.js> <url> <HTTP API's url, or empty> <milliseconds>
import { pathToFileURL } from "node:url";

const [module, url, httpUrl, afterMs] = process.argv.slice(2);
const { Conversation, ConversationView } = await import(pathToFileURL(module).href);
const conversation = new Conversation(httpUrl ? "ws://127.0.0.1:9/blocked" : url, { httpUrl });
const view = new ConversationView(conversation);
const problems = [];
conversation.on("error", ({ code, message }) => problems.push({ code, message }));
await conversation.connect();
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const stopped = conversation.say("one");
await after(Number(afterMs));
await conversation.interrupt();
const results = [await stopped, await conversation.say("two")];
const turns = view.snapshot().turns.map(({ said, text, heard, status }) => {
  return { said, text, heard, status };
});
conversation.close();
const reasons = results.map(({ reason }) => reason);
console.log(JSON.stringify({ reasons, problems, turns, transport: conversation.transport }));
