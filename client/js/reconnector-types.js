/** The types of a connection: its states, its events, its options. */

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {import("./problem.js").Problem} Problem */

/**
 * `idle` before the first `connect`, `connecting` until it has worked once, `ready`,
 * `reconnecting` after a loss, `offline` while there is no network, `closed` when it was meant,
 * `failed` when it was not and nothing more is tried, or only slowly.
 * @typedef {"idle" | "connecting" | "ready" | "reconnecting" | "offline" | "closed" | "failed"}
 *   State
 */

/**
 * @typedef {object} StateChange
 * @property {State} state
 * @property {Problem} [problem] why
 * @property {number} attempt how many have been used since the last stable connection
 * @property {number} attempts how many there are
 * @property {number} [retryInMs] when the next attempt is due; also in `failed`, with `slowRetryMs`
 */

/**
 * @typedef {object} ReconnectorEvents
 * @property {StateChange} state
 * @property {Ready} ready a socket is ready: the first, the next, or a fresh one; before `state`
 * @property {ServerEvent} event
 * @property {ClientMessage} sent
 * @property {Problem} session_lost the session could not be resumed; a new one follows
 * @property {{transport: "websocket" | "http"}} transport what messages go over from now on;
 *   before `ready`
 * @property {{id: string, token: string}} token the session has another token
 * @property {{turnId: string, problem: Problem}} refused over HTTP: the turn does not run
 * @property {undefined} stayed no WebSocket could be had: what waited for it may be sent
 */

/** @typedef {string | (() => string | Promise<string>)} Asked a value, or who to ask for it */

/** @typedef {Asked | false} HttpUrl */

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
 * @property {HttpUrl} [httpUrl] of the HTTP API, for networks that block WebSockets; without one,
 *   or with `false`, there is nothing to fall back to
 * @property {Asked} [token] asked again at every attempt, as the address is
 * @property {number} [attempts] after which it gives up: 5
 * @property {number} [slowRetryMs] after having given up it is tried again that often, or up to half
 *   as long more, while the page is looked at: 30,000 are usual. Without it, never
 * @property {number} [baseDelayMs] the first step of the back-off: 500
 * @property {number} [maxDelayMs] its longest step: 15,000
 * @property {number} [stableAfterMs] a connection that has held so long has its attempts back:
 *   5,000
 * @property {number} [connectTimeoutMs] 15,000, for the answers of `url` and `token` and then for the
 *   handshake and `ready`; for these 5,000 with `httpUrl`
 * @property {number} [heartbeatMs] 480,000; API Gateway closes what was silent for 10 minutes
 * @property {number} [pongTimeoutMs] 10,000
 * @property {number} [busyHeartbeatMs] while a turn is spoken or waited for: 2,000
 * @property {number} [busyPongTimeoutMs] 4,000
 * @property {number} [rotateAfterMs] 6,600,000 (110 minutes); API Gateway closes after 120
 * @property {() => boolean} [quiet] whether a fresh socket would disturb nothing now
 * @property {() => boolean} [needed] whether there must be a connection although nobody looks
 * @property {() => Partial<Init>} [hello] what `init` says besides the session
 * @property {typeof WebSocket} [WebSocket]
 * @property {import("./presence.js").Presence} [presence]
 * @property {() => number} [random] from 0 to 1
 */

export {};
