/** Makes what messages go over: a WebSocket, or HTTP in its place. */
import { HttpLink } from "./http-link.js";
import { Problem } from "./problem.js";
import { Socket } from "./socket.js";

/** @typedef {Socket | HttpLink} Link */
/** @typedef {import("./connection-types.js").Asked} Asked */
/** @typedef {import("./connection-types.js").ConnectionOptions} ConnectionOptions */

const CONNECT_TIMEOUT_MS = 15_000;
/** With HTTP to go to, nobody waits so long for a proxy that never answers. */
const CONNECT_TIMEOUT_WITH_HTTP_MS = 5_000;

/**
 * @param {import("./socket.js").SocketHooks} hooks
 * @param {ConnectionOptions} options
 */
export function madeSocket(hooks, options) {
  const timeoutMs = options.httpUrl ? CONNECT_TIMEOUT_WITH_HTTP_MS : CONNECT_TIMEOUT_MS;
  return new Socket(hooks, {
    WebSocket: options.WebSocket,
    connectTimeoutMs: options.connectTimeoutMs ?? timeoutMs,
    // Two minutes before API Gateway's idle time-out: a page that throttles may be late.
    heartbeatMs: options.heartbeatMs ?? 480_000,
    pongTimeoutMs: options.pongTimeoutMs ?? 10_000,
    busyHeartbeatMs: options.busyHeartbeatMs ?? 2_000,
    busyPongTimeoutMs: options.busyPongTimeoutMs ?? 4_000,
  });
}

/**
 * @param {import("./http-link.js").HttpHooks} hooks
 * @param {ConnectionOptions} options
 * @param {import("./connection-types.js").Known} known
 */
export function madeHttpLink(hooks, { httpUrl, token }, known) {
  return new HttpLink(hooks, {
    url: () => asked(httpUrl || undefined),
    token: () => asked(token),
    known,
  });
}

/**
 * @param {Asked | undefined} source
 * @returns {Promise<string | undefined>}
 */
export async function asked(source) {
  return typeof source === "function" ? source() : source;
}

/** @param {unknown} cause */
export function asProblem(cause) {
  if (cause instanceof Problem) return cause;
  const text = "The address or the token could not be had.";
  return new Problem("not_connected", text, { retryable: true, cause });
}
