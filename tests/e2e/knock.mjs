// Connects with the JavaScript client, given tokens one after the other, and says what came of it.
//   node knock.mjs <connection.js> <url> <token>...
import { pathToFileURL } from "node:url";

const [module, url, ...tokens] = process.argv.slice(2);
const { Connection } = await import(pathToFileURL(module).href);
let asked = 0;
const token = () => tokens[Math.min(asked++, tokens.length - 1)];
const connection = new Connection(url, { token, baseDelayMs: 10 });
let came;
try {
  const { type, resumed } = await connection.connect();
  came = { type, resumed, asked };
} catch (problem) {
  came = { code: problem.code, retryable: problem.retryable, asked };
}
connection.close();
console.log(JSON.stringify(came));
