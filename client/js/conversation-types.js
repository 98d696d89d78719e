/** The types of a conversation: its events, its options, and what it is handed. */

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {import("./turn.js").Turn} Turn */
/** @typedef {import("./problem.js").Problem} Problem */
/** @typedef {import("./microphone-share.js").Interruption} Interruption */
/** @typedef {import("./reconnector.js").StateChange} StateChange */

/**
 * @typedef {object} Events
 * @property {StateChange} state
 * @property {{id: string, token: string, resumed: boolean,
 *   history: import("./messages.js").Message[]}} session opened or resumed; keep `id` and `token`
 *   to come back after a reload
 * @property {{transport: "websocket" | "http"}} transport what messages go over from now on
 * @property {ServerEvent} message every server event, in order within its turn
 * @property {ClientMessage} sent every message that left
 * @property {Turn} turn a turn began
 * @property {{turnId: string}} listened the user has finished speaking, perhaps in a turn that has
 *   failed meanwhile
 * @property {{turnId: string, playedMs: number}} interrupted a reply was cut off
 * @property {import("./messages.js").Transcript} transcript
 * @property {import("./messages.js").ReplyText} reply_text
 * @property {import("./messages.js").Audio} audio
 * @property {import("./messages.js").TurnEnd} turn_end
 * @property {import("./messages.js").ConfigUpdated} config_updated
 * @property {import("./messages.js").SessionEnded} session_ended
 * @property {{enabled: boolean, speaking: boolean}} hands_free
 * @property {{state: "hearing" | "interrupted", problem?: Problem}} microphone the browser has
 *   stopped or muted it while it is listened to, or it hears again
 * @property {Problem} warning what works less well than it could: `worklet_missing`
 * @property {Problem} error everything that goes wrong, with its `turnId` if it belongs to one
 */

/**
 * @typedef {object} AudioInput a `Microphone`, or what behaves like one
 * @property {(onChunk: (pcm: Uint8Array) => void, options?: {prerollMs?: number}) => Promise<void>}
 *   start from `prerollMs` ago, if it was open then
 * @property {() => Promise<void>} stop settles when the last chunk has been handed over
 * @property {() => void} [withdraw] what is being opened by `start` is not wanted any more: it fails,
 *   and nothing opens. Without it, `stop` is called once it is open
 * @property {() => void} [release] nobody uses it any more: let go of it at once
 * @property {() => AudioInput & import("./hands-free.js").Detection} [share] the part of one of
 *   several users, who disturb each other in nothing
 * @property {{(name: "error", listener: (problem: Problem) => void): () => void,
 *   (name: "warning", listener: (problem: Problem) => void): () => void,
 *   (name: "interruption", listener: (change: Interruption) => void): () => void}} [on] what goes
 *   wrong while it is open: `microphone_lost`; that it has gone deaf, and hears again
 */

/**
 * @typedef {object} AudioOutput a `Player`, or what behaves like one
 * @property {(turnId: string, pcm: Uint8Array, rateHz: number) => void} play
 * @property {(turnId: string) => void} [begin] a turn begins, perhaps again: what came of it before
 *   is void
 * @property {(turnId: string) => void} [finish] nothing more will come of this turn
 * @property {(turnId: string) => Promise<number>} stop settles with the ms that were heard
 * @property {(turnId: string) => boolean} isPlaying
 * @property {(turnId: string) => number | undefined} [playedMsOf]
 * @property {() => void} [pause]
 * @property {() => void} [resume]
 * @property {{(name: "error", listener: (problem: Problem) => void): () => void,
 *   (name: "warning", listener: (problem: Problem) => void): () => void,
 *   (name: "state", listener: (state: string) => void): () => void}} [on]
 */

/**
 * @typedef {object} Own
 * @property {Settings} [settings] of a new session
 * @property {{id: string, token: string}} [session] an earlier one, to resume
 * @property {AudioInput | (AudioInput & import("./hands-free.js").Detection)} [microphone] one
 *   that notices speech is needed for hands-free
 * @property {AudioOutput} [player]
 * @property {{maxMessages?: number, maxBytes?: number}} [queue] how much is kept of what is said
 *   while there is no connection: 1,000 messages, 4,000,000 bytes
 */

/** @typedef {Own & Omit<import("./reconnector.js").ReconnectorOptions, "hello" | "quiet">}
 *   ConversationOptions */

export {};
