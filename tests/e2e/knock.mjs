// Connects with the JavaScript client, given tokens one after the other, and says what came of it.
//   node knock.mjs <reconnector.js> <url> <HTTP API's url, or empty> <token>...
import { pathToFileURL } from "node:url";

const [module, url, httpUrl, ...tokens] = process.argv.slice(2);
const { Reconnector } = await import(pathToFileURL(module).href);
let asked = 0;
const token = () => tokens[Math.min(asked++, tokens.length - 1)];
const reconnector = new Reconnector(url, { token, httpUrl, baseDelayMs: 10 });
let came;
try {
  const { type, resumed } = await reconnector.connect();
  came = { type, resumed, asked, transport: reconnector.transport };
} catch (problem) {
  came = { code: problem.code, retryable: problem.retryable, asked };
}
reconnector.close();
console.log(JSON.stringify(came));
