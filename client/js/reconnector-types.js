/** The types of a connection: its states, its events, its options. */

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {import("./problem.js").Problem} Problem */

/**
 * `idle` before the first `connect`. `connecting` until it has worked once. `ready`. `reconnecting`
 * after a loss. `offline` while there is no network. `closed` when it was meant. `failed` when it was
 * not, and nothing more is tried, or only slowly.
 * @typedef {"idle" | "connecting" | "ready" | "reconnecting" | "offline" | "closed" | "failed"}
 *   State
 */

/**
 * @typedef {object} StateChange
 * @property {State} state The state from now on.
 * @property {Problem} [problem] Why it changed.
 * @property {number} attempt How many attempts have been used since the last stable connection.
 * @property {number} attempts How many there are.
 * @property {number} [retryInMs] When the next attempt is due; also in `failed`, with `slowRetryMs`.
 */

/**
 * @typedef {object} GatewayFault what API Gateway says in a frame of its own
 * @property {string} message
 * @property {string} [requestId]
 */

/**
 * @typedef {object} ReconnectorEvents
 * @property {StateChange} state
 * @property {Ready} ready a socket is ready: the first, the next, or a fresh one; before `state`
 * @property {ServerEvent} event
 * @property {GatewayFault} fault API Gateway has failed a message
 * @property {ClientMessage} sent
 * @property {Problem} session_lost the session could not be resumed; a new one follows
 * @property {{transport: "websocket" | "http"}} transport what messages go over from now on;
 *   before `ready`
 * @property {{id: string, token: string}} token the session has another token
 * @property {{turnId: string, problem: Problem}} refused over HTTP: the turn does not run
 * @property {undefined} stayed no WebSocket could be had: what waited for it may be sent
 */

/** @typedef {string | (() => string | Promise<string>)} Asked A value, or a function that gives it. */

/** @typedef {Asked | false} HttpUrl An address; `false` for none. */

/**
 * What HTTP cannot ask of a session.
 * @typedef {object} Known
 * @property {import("./messages.js").Settings} settings in force
 * @property {import("./messages.js").Limits} limits
 * @property {import("./messages.js").Choices} [choices]
 * @property {import("./messages.js").Ready["stand_ins"]} [standIns]
 * @property {import("./messages.js").Settings} unsent that the server has not been told
 */

/**
 * @typedef {object} ReconnectorOptions
 * @property {HttpUrl} [httpUrl] The HTTP API's address, for networks that block WebSockets. Without
 *   one, or with `false`, there is nothing to fall back to.
 * @property {Asked} [token] What the server lets the user in with. Every attempt asks for it again, as for
 *   the address.
 * @property {number} [attempts] Attempts before it gives up. Default 5.
 * @property {number} [slowRetryMs] How often it tries again after it has given up, while the page is
 *   visible; each wait is up to half as long more. 30,000 is usual. Default: never.
 * @property {number} [baseDelayMs] The first step of the back-off. Default 500.
 * @property {number} [maxDelayMs] The longest step. Default 15,000.
 * @property {number} [stableAfterMs] How long a connection must last before all attempts are available
 *   again. Default 5,000.
 * @property {number} [connectTimeoutMs] How long `url` and `token` may take, and then the handshake and
 *   `ready` together. Default 15,000; with `httpUrl` 5,000 for the handshake and `ready`.
 * @property {number} [heartbeatMs] Silence of an idle connection before a `ping`. Default 480,000: API
 *   Gateway closes after 10 minutes.
 * @property {number} [pongTimeoutMs] How soon something must come then. Default 10,000.
 * @property {number} [busyHeartbeatMs] Silence before a `ping` while a turn is spoken or waited for.
 *   Default 2,000.
 * @property {number} [busyPongTimeoutMs] How soon something must come then. Default 4,000.
 * @property {number} [rotateAfterMs] Age at which another connection takes over. Default 6,600,000 (110
 *   minutes): API Gateway closes after 120.
 * @property {() => boolean} [quiet] whether a fresh socket would disturb nothing now
 * @property {() => boolean} [needed] Whether a connection is needed although the page is hidden.
 * @property {() => Partial<Init>} [hello] what `init` says besides the session
 * @property {typeof WebSocket} [WebSocket] The class to use. Default: the global one.
 * @property {import("./presence.js").Presence} [presence] Tells network and visibility. Default: the browser's.
 * @property {() => number} [random] Gives a number from 0 to 1. Default `Math.random`.
 */

export {};
