/** The types of a conversation: its events, its options, and what it is handed. */

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {import("./turn.js").Turn} Turn */
/** @typedef {import("./problem.js").Problem} Problem */
/** @typedef {import("./microphone-share.js").Interruption} Interruption */
/** @typedef {import("./reconnector.js").StateChange} StateChange */

/** @typedef {"agent" | "silence" | "too_long"} Ending Why a conversation was hung up. */

/**
 * @typedef {object} Events
 * @property {StateChange} state The connection's state has changed, or another attempt begins.
 * @property {{id: string, token: string, resumed: boolean,
 *   history: import("./messages.js").Message[]}} session The session is open. Keep `id` and `token`
 *   to resume it after a reload.
 * @property {{transport: "websocket" | "http"}} transport Messages take another way from now on.
 * @property {ServerEvent} message Every server event, in order within its turn.
 * @property {ClientMessage} sent Every message that left.
 * @property {Turn} turn A turn began.
 * @property {{turnId: string}} listened The user has finished speaking. The turn may have failed
 *   meanwhile.
 * @property {{turnId: string, playedMs: number}} interrupted A reply was cut off.
 * @property {import("./messages.js").Transcript} transcript More is understood of what the user says.
 * @property {import("./messages.js").ReplyText} reply_text More of the reply's text.
 * @property {import("./messages.js").Audio} audio More of the reply's audio.
 * @property {import("./messages.js").AgentTurn} agent_turn The agent begins a turn by itself, which
 *   the `turn` event gives.
 * @property {import("./messages.js").ToolUpdate} tool A tool is called, or its call has ended.
 * @property {import("./messages.js").Custom} custom An event of the deployment's own.
 * @property {import("./messages.js").TurnEnd} turn_end The turn has ended.
 * @property {import("./messages.js").ConfigUpdated} config_updated Other settings are in force.
 * @property {import("./messages.js").SessionEnded} session_ended The session is over, or goes on in another place.
 * @property {{reason: Ending}} ended The conversation was hung up: by the agent, once its reply had
 *   been played, or because the user was silent for too long, or the session too long. It does not
 *   connect again by itself.
 * @property {{enabled: boolean, speaking: boolean}} hands_free Hands-free went on or off, or speech
 *   began or ended.
 * @property {{state: "hearing" | "interrupted", problem?: Problem}} microphone The browser has
 *   stopped or muted it while somebody is listened to, or it hears again.
 * @property {Problem} warning Something works less well than it could: `worklet_missing`, or a
 *   function of `tools` failed: `tool_failed`.
 * @property {Problem} error Something went wrong; with `turnId` if it belongs to a turn.
 */

/**
 * @typedef {object} AudioInput A `Microphone`, or what behaves like one.
 * @property {(onChunk: (pcm: Uint8Array) => void, options?: {prerollMs?: number,
 *   endpointing?: "manual" | "server_vad"}) => Promise<void>} start Begin an utterance; from `prerollMs`
 *   ago, if it was open then. With `server_vad` the server waits for the silence after it too.
 * @property {() => Promise<void>} stop Settle when the last chunk has been handed over.
 * @property {() => void} [flush] Hand over at once what has been heard.
 * @property {() => void} [withdraw] Give up what `start` is opening: it fails, and nothing opens. Without
 *   this, `stop` is called once it is open.
 * @property {() => void} [release] Let go of it at once: nobody uses it any more.
 * @property {() => AudioInput & import("./hands-free.js").Detection} [share] Give the part of one
 *   of several users, who do not disturb each other.
 * @property {{(name: "error", listener: (problem: Problem) => void): () => void,
 *   (name: "warning", listener: (problem: Problem) => void): () => void,
 *   (name: "interruption", listener: (change: Interruption) => void): () => void}} [on] Report what
 *   goes wrong while it is open (`microphone_lost`), and that it stops or begins to hear.
 */

/**
 * @typedef {object} AudioOutput A `Player`, or what behaves like one.
 * @property {(turnId: string, pcm: Uint8Array, rateHz: number) => void} play Queue audio of a turn.
 * @property {(turnId: string) => void} [begin] A turn begins, perhaps again: what came before is
 *   void.
 * @property {(turnId: string) => void} [finish] Nothing more will come of this turn.
 * @property {(turnId: string) => Promise<number>} stop Fall silent; settle with the ms that were heard.
 * @property {(turnId: string) => boolean} isPlaying Whether audio of this turn is still to be heard.
 * @property {(turnId: string) => number | undefined} [playedMsOf] How much of a turn's audio has been played.
 * @property {() => void} [pause] Fall silent for a moment.
 * @property {() => void} [resume] Go on where it was.
 * @property {{(name: "error", listener: (problem: Problem) => void): () => void,
 *   (name: "warning", listener: (problem: Problem) => void): () => void,
 *   (name: "state", listener: (state: string) => void): () => void}} [on] Report what goes wrong, and
 *   the state.
 */

/**
 * @typedef {object} Own
 * @property {Settings} [settings] The settings of a new session.
 * @property {{id: string, token: string}} [session] An earlier session, to resume.
 * @property {string} [agent] Which of the deployment's agents a new session has. Default: the
 *   deployment's own choice.
 * @property {Record<string, import("./page-tools.js").PageTool>} [tools] The functions that the agent
 *   may call, by the names that the deployment declares. Not over HTTP.
 * @property {AudioInput | (AudioInput & import("./hands-free.js").Detection)} [microphone] Where
 *   speech comes from. Hands-free needs one that notices speech.
 * @property {AudioOutput} [player] Where replies sound. Without one they are text.
 * @property {boolean} [companding] Whether speech is sent in 8 bits a sample (µ-law) where the server
 *   takes it, at half the price. Default true.
 * @property {{maxMessages?: number, maxBytes?: number}} [queue] How much is kept of what is said
 *   without a connection. Default: 1,000 messages and 4,000,000 bytes.
 */

/** @typedef {Own & Omit<import("./reconnector.js").ReconnectorOptions, "hello" | "quiet">}
 *   ConversationOptions */

export {};
