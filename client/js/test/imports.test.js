/** The modules of the client and of the page stand on floors: no circle, types included. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const FOLDERS = {
  "client/js": new URL("../", import.meta.url),
  web: new URL("../../../web/", import.meta.url),
};

/**
 * The modules beside it that a source imports, also for a type alone.
 * @param {string} source
 */
function importsOf(source) {
  const found = [...source.matchAll(/(?:\bfrom |^import |\bimport\()"\.\/([^"]+)"/gm)];
  return found.map(([, name]) => /** @type {string} */ (name));
}

/**
 * A row of modules that leads from one back to itself.
 * @param {Map<string, string[]>} graph
 * @returns {string[] | undefined}
 */
function circleIn(graph) {
  /** @type {Set<string>} */
  const done = new Set();
  /** @param {string} name @param {string[]} path @returns {string[] | undefined} */
  const walk = (name, path) => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of graph.get(name) ?? []) {
      const circle = walk(next, [...path, name]);
      if (circle) return circle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of graph.keys()) {
    const circle = walk(name, []);
    if (circle) return circle;
  }
  return undefined;
}

for (const [name, folder] of Object.entries(FOLDERS)) {
  test(`no module of ${name} imports itself by way of others`, () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".js"));
    const graph = new Map(
      files.map((file) => [file, importsOf(readFileSync(new URL(file, folder), "utf8"))]),
    );
    assert.ok([...graph.values()].flat().length > 20, "imports are found");
    assert.equal(circleIn(graph)?.join(" → "), undefined);
  });
}

test("a circle would be noticed, one of types as well", () => {
  const high = importsOf('import { low } from "./low.js";\n');
  const low = importsOf('/** @typedef {import("./high.js").High} High */\n');
  const graph = new Map([["high.js", high], ["low.js", low]]);
  assert.deepEqual(circleIn(graph), ["high.js", "low.js", "high.js"]);
});
