"use client";
/** A conversation as a React hook, for React 18 and 19. */
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { assemble } from "./assembly.js";

/** @typedef {import("./assembly.js").ParleyOptions} ParleyOptions */

/**
 * A conversation that lives as long as the component: connected when it appears, closed when it
 * goes. What the options said at first counts; for another address, give the component another
 * `key`. Of `tools` the names count, and the functions of the latest render are called.
 * @param {ParleyOptions} options
 */
export function useParley({ autoConnect = true, ...options }) {
  const latest = useRef(options.tools);
  const [{ view, actions, begin, leave }] = useState(() =>
    assemble({ ...options, tools: latestOf(latest) }),
  );
  const picture = useSyncExternalStore(view.subscribe, view.snapshot, view.snapshot);
  useEffect(() => {
    latest.current = options.tools;
  });
  useEffect(() => {
    if (autoConnect) begin();
    return leave;
  }, [begin, leave, autoConnect]);
  return useMemo(() => ({ ...picture, ...actions }), [picture, actions]);
}

/**
 * @param {{current: ParleyOptions["tools"]}} latest
 * @returns {ParleyOptions["tools"]} what calls those of the latest render
 */
function latestOf(latest) {
  const first = latest.current ?? {};
  /** @type {(name: string) => import("./page-tools.js").PageTool} */
  const call =
    (name) =>
    (...given) =>
      (latest.current?.[name] ?? first[name])?.(...given);
  return Object.fromEntries(Object.keys(first).map((name) => [name, call(name)]));
}
