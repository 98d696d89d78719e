import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SOAK = fileURLToPath(new URL("./soak.js", import.meta.url));

/**
 * What lives after each so many turns, in bytes.
 * @param {(string | number)[]} args of the soak
 */
async function livingBytes(...args) {
  const command = ["--expose-gc", SOAK, ...args.map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, command);
  const lines = stdout.trim().split("\n");
  return lines.map((line) => Number(JSON.parse(line).bytes));
}

/** @param {number[]} bytes */
function ratio(bytes) {
  return (bytes.at(-1) ?? NaN) / (bytes[0] ?? NaN);
}

test("half an hour of conversation leaves memory as it was", { timeout: 60_000 }, async () => {
  const bytes = await livingBytes(450, 150);
  assert.equal(bytes.length, 3);
  assert.ok(ratio(bytes) < 1.1, `${bytes}`);
});

test("a client that kept its turns would be noticed", { timeout: 60_000 }, async () => {
  const bytes = await livingBytes(60, 20, "keep");
  assert.ok(ratio(bytes) > 1.1, `${bytes}`);
});
