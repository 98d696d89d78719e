// Connects with the JavaScript client, given tokens one after the other, and says what came of it.
//   node knock.mjs <connection.js> <url> <HTTP API's url, or empty> <token>...
import { pathToFileURL } from "node:url";

const [module, url, httpUrl, ...tokens] = process.argv.slice(2);
const { Connection } = await import(pathToFileURL(module).href);
let asked = 0;
const token = () => tokens[Math.min(asked++, tokens.length - 1)];
const connection = new Connection(url, { token, httpUrl, baseDelayMs: 10 });
let came;
try {
  const { type, resumed } = await connection.connect();
  came = { type, resumed, asked, transport: connection.transport };
} catch (problem) {
  came = { code: problem.code, retryable: problem.retryable, asked };
}
connection.close();
console.log(JSON.stringify(came));
