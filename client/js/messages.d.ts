// Generated from layers/parley/parley/protocol/messages.py by docs/generate.py; do not edit.

export type ErrorCode = "bad_request" | "unknown_type" | "not_initialised" | "unsupported_protocol" | "session_not_found" | "resume_denied" | "unauthorized" | "rate_limited" | "too_large" | "audio_gap" | "no_speech" | "transcription_failed" | "reply_failed" | "speech_failed" | "turn_timeout" | "quota_exceeded" | "turn_running" | "turn_over" | "internal";

/** Signed 16-bit little-endian mono PCM. The number is the sample rate in Hz. */
export type AudioFormat = "pcm_8000" | "pcm_16000" | "pcm_22050" | "pcm_24000" | "pcm_44100" | "pcm_48000";

/** How the user's speech is coded: PCM as in `AudioFormat`, or µ-law (ITU-T G.711), 8 bits a sample, at 16 kHz. */
export type SpeechFormat = "pcm_8000" | "pcm_16000" | "pcm_22050" | "pcm_24000" | "pcm_44100" | "pcm_48000" | "mulaw_16000";

/** Who finds the end of an utterance: the client, or the transcriber. */
export type Endpointing = "manual" | "server_vad";

/** The fields of `Settings`. */
export type SettingName = "language" | "speed" | "voice" | "stability" | "style" | "record";

/** Speech to text, the language model, text to speech. */
export type Stage = "transcriber" | "responder" | "synthesizer";

/** Of a message of the history. `context` is a fact that a backend or a page has told; clients are not sent it. */
export type Role = "user" | "assistant" | "context";

/** The client ended the session, another connection took it over, the user was silent for too long, or the session has lasted as long as the deployment allows. */
export type SessionEndReason = "ended" | "replaced" | "silence" | "too_long";

/** Why the agent begins a turn: it greets, a backend has it say something, or the user is silent. */
export type AgentTurnCause = "greeting" | "say" | "silence";

/** A call runs, has a result, failed, was not run or not waited for, or nobody knows whether it acted. */
export type ToolState = "running" | "done" | "failed" | "cancelled" | "unknown";

/** Why a turn is over. */
export type TurnEndReason = "completed" | "interrupted" | "failed";

/** Whom a limit holds for: one user, all users of a tenant together, or one connection. */
export type LimitScope = "subject" | "tenant" | "connection";

/** Every event of an attempt at the turn, up to `seq`, has arrived. */
export interface Ack {
  type: "ack";
  turn_id: string;
  seq: number;
  /** 0 to 86,400,000. */
  played_ms?: number | null;
  /** 1 to 100. */
  attempt?: number;
}

/** The first event of a turn that the agent begins, without anything that the user said. */
export interface AgentTurn {
  type: "agent_turn";
  turn_id: string;
  seq: number;
  cause: AgentTurnCause;
  attempt?: number;
}

/** More of the reply's audio, from `start_ms` for `duration_ms`. */
export interface Audio {
  type: "audio";
  turn_id: string;
  seq: number;
  audio: string;
  format: AudioFormat;
  start_ms: number;
  duration_ms: number;
  words?: Word[];
  /** Whether the synthesizer gave no times for `words`, so that theirs are estimates. */
  estimated?: boolean;
  attempt?: number;
}

/** Up to 20 KB of the utterance, an even number of bytes in every format; 480 ms is usual. */
export interface AudioChunk {
  type: "audio_chunk";
  turn_id: string;
  /** 1 to 9,000. */
  seq: number;
  /** 2 to 20,480 bytes, in base64. */
  audio: string;
}

/** The user has finished. `chunks` says how many chunks there were. `pause` names the pause that still holds: nothing was said after it had begun. */
export interface AudioEnd {
  type: "audio_end";
  turn_id: string;
  /** 0 to 9,000. */
  chunks: number;
  /** 1 to 9,000. */
  pause?: number | null;
}

/** A spoken turn begins. `attempt` is as in `user_message`. */
export interface AudioStart {
  type: "audio_start";
  turn_id: string;
  /** One of `choices.speech_formats`. */
  format?: SpeechFormat;
  endpointing?: Endpointing;
  /** 1 to 100. */
  attempt?: number | null;
  /** Whether the client tells of pauses (`speech_paused`), so that nothing else is taken for one. */
  pauses?: boolean;
}

/** What a client may choose: the settings that it may set, and the values of those that have a closed list. */
export interface Choices {
  settings: SettingName[];
  voices: Voice[];
  /** ISO 639 codes. */
  languages: string[];
  /** Who may find the end of an utterance. */
  endpointing?: Endpointing[];
  /** What `audio_start.format` may be. A server that does not say takes those of `AudioFormat`. */
  speech_formats?: SpeechFormat[];
  min_speed?: number;
  /** What the voice speaks. A `speed` beyond is brought into it. */
  max_speed?: number;
  /** Whether `stability` makes a difference. */
  stability?: boolean;
  /** Whether the language follows what the user speaks. `settings.language` is then the one that was heard last. */
  detects_language?: boolean;
  /** Whether a client may send `context`. */
  context?: boolean;
  /** Whether a reply may begin at a pause, so that `speech_paused` and `speech_resumed` are of use. */
  preemptive_replies?: boolean;
  /** Which agents a new session may have (`init.agent`); empty where a client may choose none. */
  agents?: string[];
}

/** Asks the application to run a function of its own, and to answer with `tool_result`. Another attempt at the turn asks again with the same `call_id`. A function runs once for each. */
export interface ClientCall {
  type: "client_call";
  turn_id: string;
  seq: number;
  call_id: string;
  name: string;
  arguments: Record<string, unknown>;
  timeout_ms: number;
  attempt?: number;
}

/** New settings, from the next turn on. */
export interface Config {
  type: "config";
  settings: Settings;
}

/** Answers `config` with every setting in force. */
export interface ConfigUpdated {
  type: "config_updated";
  settings: Settings;
}

/** Tells a fact that the next reply knows, where `choices.context` allows it. */
export interface Context {
  type: "context";
  /** 1 to 2,000 characters. */
  text: string;
}

/** An event of the deployment's own, from a tool or from the responder. */
export interface Custom {
  type: "custom";
  turn_id: string;
  seq: number;
  name: string;
  data?: unknown;
  attempt?: number;
}

/** Ends the session. */
export interface End {
  type: "end";
}

/** Something went wrong. It has a `seq` when it is an event of a turn, and none when it answers a message. `seq` is 0 where it explains a `turn_end` with `seq` 0. */
export interface Error {
  type: "error";
  code: ErrorCode;
  message: string;
  retryable: boolean;
  turn_id?: string | null;
  seq?: number | null;
  field?: string | null;
  retry_after_ms?: number | null;
  missing?: number[] | null;
  limit?: Limit | null;
  attempt?: number;
}

/** First message on every connection: opens a session or resumes one. */
export interface Init {
  type: "init";
  protocol: number;
  session_id?: string | null;
  /** Up to 256 characters. */
  resume_token?: string | null;
  received?: Received | null;
  settings?: Settings;
  /** Which of the deployment's agents a new session has; one that the token allows. */
  agent?: string | null;
  /** Which of the deployment's client tools this application has functions for. Up to 64 items. */
  tools?: string[];
}

/** Stop the reply. The user has heard `played_ms` of its audio. */
export interface Interrupt {
  type: "interrupt";
  turn_id: string;
  /** 0 to 86,400,000. */
  played_ms: number;
}

/** A limit that was met: its name, its value in the unit of the name, and whom it holds for. */
export interface Limit {
  name: string;
  value: number;
  scope: LimitScope;
}

/** The limits of what the server accepts. */
export interface Limits {
  max_message_bytes?: number;
  max_chunk_bytes?: number;
  max_chunks?: number;
  max_text_chars?: number;
}

/** One message of the history. `heard` is set when less was heard than said. */
export interface Message {
  role: Role;
  text: string;
  turn_id: string;
  heard?: string | null;
  /** When its turn began, in ms since the epoch. */
  started_ms?: number;
  /** ISO 639 code, where the deployment detects languages. */
  language?: string | null;
  /** Whether the synthesizer gave no times, so that `heard` is an estimate. */
  heard_estimated?: boolean;
  /** Where in `text` something was said only to fill a silence. */
  fillers?: Span[];
  /** The tools that were called for this reply, by name, in order. */
  tools?: string[];
  /** Whether the agent said it unasked: it answers nobody. */
  agent?: boolean;
}

/** Where a turn's time went, in ms. Zero is the moment when API Gateway received `user_message` or `audio_end`. The parts from `dispatch_ms` to `delivery_ms` add up to `first_audio_ms`. */
export interface Metrics {
  /** From API Gateway to the turn: Lambda's own queue and a cold start (typed), or the way through the inbox (spoken). */
  dispatch_ms?: number | null;
  /** From the end of the utterance to its final transcript (spoken only). */
  transcript_ms?: number | null;
  /** Acquiring the turn's lease, reading the history, sending the request. */
  prepare_ms?: number | null;
  /** From the request to the reply's first token. */
  responder_ms?: number | null;
  /** From the first token to the first speakable clause. */
  clause_ms?: number | null;
  /** From that clause to its first audio. */
  synthesizer_ms?: number | null;
  /** From that audio until API Gateway had accepted it. */
  delivery_ms?: number | null;
  /** Until the first text of the reply was sent. */
  first_text_ms?: number | null;
  /** Until API Gateway had taken the first audio: the sum of the parts above. */
  first_audio_ms?: number | null;
  /** Until the turn ended. */
  total_ms?: number | null;
  /** How much speech was synthesised. What nobody heard is in it, as after an interruption or of a reply that was begun in vain. */
  audio_ms?: number | null;
  /** How long the reply's text is. */
  reply_chars?: number | null;
  /** Messages posted to the connection before `turn_end`. */
  posts?: number | null;
  /** How often a provider was asked again. */
  retries?: number | null;
  /** In how many stages another provider took over from the first one. */
  failed_over?: number | null;
  /** What tools took before the first token of the reply's text; a part of `first_audio_ms`. */
  tools_ms?: number | null;
  /** How many tools were called. */
  tool_calls?: number | null;
  /** How often the model was asked again with their results. */
  tool_rounds?: number | null;
  /** Of how many calls nobody knows whether they acted. */
  tools_unknown?: number | null;
  /** How often something was said to fill a silence. */
  fillers?: number | null;
  /** How much audio went to the transcriber. */
  heard_ms?: number | null;
  /** How much text went to the synthesizer, of replies that were begun in vain too. */
  spoken_chars?: number | null;
  /** How many tokens the model has read, for replies that were begun in vain too; absent where nobody knows, as of a workflow. */
  input_tokens?: number | null;
  /** How many it has written. */
  output_tokens?: number | null;
  /** The model's answers did not say how many tokens: four characters count as one. */
  tokens_estimated?: boolean | null;
  /** How often the turn's function read from the table before `turn_end`. */
  table_reads?: number | null;
  /** How often it wrote to it. */
  table_writes?: number | null;
  /** How many replies were begun before the end of the utterance was sure. */
  preemptive_tries?: number | null;
  /** Whether one of them is the reply. Then each part of the time above is what was left of it when the end was sure. */
  preemptive_hit?: boolean | null;
  /** How much text the others had, which nobody saw. What they cost is in the tokens, the characters and the speech above. */
  preemptive_wasted_chars?: number | null;
  /** The turn ran in a fresh Lambda environment. */
  cold?: boolean | null;
  /** The connection to the responder was already open. */
  connection_reused?: boolean | null;
}

/** Heartbeat. `sent_at` comes back unchanged. With `turn_id` it also asks whether this attempt at the turn still runs. An attempt that does not run, and never ended, is ended now. */
export interface Ping {
  type: "ping";
  sent_at: number;
  turn_id?: string | null;
  /** 1 to 100. */
  attempt?: number;
  /** The request that API Gateway said has failed. An attempt that it ran is ended now. An attempt that has not begun is not ended. */
  request_id?: string | null;
}

/** Answers `ping`. */
export interface Pong {
  type: "pong";
  sent_at: number;
}

/** Answers `init`. `settings` holds every setting in force. `stand_ins` names the stages whose provider is a stand-in, on a developer's machine. An application should tell its user. */
export interface Ready {
  type: "ready";
  session_id: string;
  resume_token: string;
  resumed: boolean;
  settings: Settings;
  limits: Limits;
  protocol: 1;
  choices?: Choices;
  stand_ins?: Stage[];
  history?: Message[];
  /** The session's agent, where the deployment has several. */
  agent?: string;
  /** Absent where silence changes nothing. */
  silence?: SilenceRules;
}

/** How far a returning client has got: it has every event up to `seq` of its oldest turn that has not ended, or of its latest turn. */
export interface Received {
  turn_id: string;
  seq: number;
  /** 1 to 100. */
  attempt?: number;
}

/** More of the reply's text. */
export interface ReplyText {
  type: "reply_text";
  turn_id: string;
  seq: number;
  delta: string;
  /** Whether it only fills a silence, while a tool runs. */
  filler?: boolean;
  attempt?: number;
}

/** Answers `end`, or says that another connection has taken the session over. */
export interface SessionEnded {
  type: "session_ended";
  session_id: string;
  reason?: SessionEndReason;
  /** What the turns of the session have used that had ended; absent if another connection has taken it over. */
  usage?: Usage | null;
}

/** The settings of a session's replies. Every field is optional. A field that is not set keeps the deployment's default. `ready.choices` says which fields a client may set. */
export interface Settings {
  /** The synthesizer's id of a voice; of Kokoro's, also a mix such as `af_bella+af_sky`. */
  voice?: string;
  /** ISO 639 code of the language spoken, e.g. `en`. */
  language?: string;
  /** How fast the voice speaks; 1 is its own speed. 0.7 to 1.2. */
  speed?: number;
  /** How even the voice sounds; low values vary more. 0 to 1. */
  stability?: number;
  /** How to reply, in words, e.g. `Answer like a pirate, in one sentence.` Up to 1,000 characters. */
  style?: string;
  /** The user consents to being recorded. A deployment that does not record answers `false` in any case. */
  record?: boolean;
}

/** The user has been silent for `silent_ms` since the last reply had been played to its end. Sent as `ready.silence` says. The server asks whether the user is still there, or ends the session. */
export interface Silence {
  type: "silence";
  /** 0 to 86,400,000. */
  silent_ms: number;
}

/** When a client sends `silence`, in ms of silence after the last reply had been played. */
export interface SilenceRules {
  /** The agent asks whether the user is still there. Absent: it does not. */
  ask_after_ms?: number | null;
  /** The session ends, so long after the agent had asked, or after the last reply if it does not ask. Absent: it does not. */
  end_after_ms?: number | null;
}

/** A part of a text, counted in code points: `[start, end]`, without the character at `end`. */
export type Span = [number, number];

/** Speech seems to pause: everything that was said until now is in the chunks up to `chunks`. `pause` counts the pauses of the utterance. Of use where `choices.preemptive_replies` says so. */
export interface SpeechPaused {
  type: "speech_paused";
  turn_id: string;
  /** 0 to 9,000. */
  chunks: number;
  /** 1 to 9,000. */
  pause: number;
}

/** Speech goes on after a pause. */
export interface SpeechResumed {
  type: "speech_resumed";
  turn_id: string;
  /** 1 to 9,000. */
  pause: number;
}

/** Answers `client_call`. The first answer to a call counts. */
export interface ToolResult {
  type: "tool_result";
  turn_id: string;
  call_id: string;
  /** What the model is told: text, or JSON as text. Up to 8,000 characters. */
  result?: string | null;
  /** Why the function failed, in place of a result. The model is told that it did. Up to 1,000 characters. */
  error?: string | null;
}

/** A tool is called, or its call has ended. Where the turn is tried again, a call of an earlier attempt comes once, as what became of it. */
export interface ToolUpdate {
  type: "tool";
  turn_id: string;
  seq: number;
  call_id: string;
  name: string;
  /** Of the tool, for a person. */
  title: string;
  state: ToolState;
  /** How long the call took, of one that has ended. */
  ms?: number | null;
  /** Where the deployment shows them. */
  arguments?: Record<string, unknown>;
  /** What the model is told, where the deployment shows it. */
  result?: string;
  attempt?: number;
}

/** What the user is understood to have said so far. A final transcript does not change. */
export interface Transcript {
  type: "transcript";
  turn_id: string;
  seq: number;
  text: string;
  final: boolean;
  /** ISO 639 code of the language that was heard, of a final transcript; it is one of `choices.languages`. Absent if the deployment detects none. */
  language?: string | null;
  attempt?: number;
}

/** The last event of a turn. `heard` is set when less was heard than said. A turn whose function died is ended by another function, which does not know its events. Then `seq` is 0, and no more events of this attempt will come. */
export interface TurnEnd {
  type: "turn_end";
  turn_id: string;
  seq: number;
  reason: TurnEndReason;
  text: string;
  metrics: Metrics;
  heard?: string | null;
  /** Why the turn failed. */
  code?: ErrorCode | null;
  /** Whether the same turn, sent again, may work. */
  retryable?: boolean;
  /** ISO 639 code of the reply's language, where the deployment detects languages. */
  language?: string | null;
  /** Whether the synthesizer gave no times, so that `heard` is an estimate. */
  heard_estimated?: boolean;
  /** Whether the agent ends the session with this turn. The client hangs up once it has played the reply. */
  ends_session?: boolean;
  attempt?: number;
}

/** What the turns of a session have used: the sums of their `metrics`, over all attempts. Attempts whose function died are missing. */
export interface Usage {
  /** How many turns have used something. */
  turns?: number;
  /** How much audio went to the transcriber. */
  heard_ms?: number;
  /** How much text went to the synthesizer. */
  spoken_chars?: number;
  /** How much speech was synthesised. */
  audio_ms?: number;
  /** How many tokens the model has read. */
  input_tokens?: number;
  /** How many it has written. */
  output_tokens?: number;
  /** Some answers of the model did not say how many tokens: four characters count as one. */
  tokens_estimated?: boolean;
  /** How many tools were called. */
  tool_calls?: number;
  /** Messages posted to the connection by turns. */
  posts?: number;
  /** How often turns read from the table. */
  table_reads?: number;
  /** How often they wrote to it. */
  table_writes?: number;
  /** How many replies were begun before the end of an utterance was sure. */
  preemptive_tries?: number;
  /** How much text of them nobody saw. */
  preemptive_wasted_chars?: number;
}

/** A typed turn. `attempt` counts from 1. The same attempt of a turn runs once, however often it is sent. A turn that has failed runs again with the next attempt, or when it is sent without an attempt. */
export interface UserMessage {
  type: "user_message";
  turn_id: string;
  /** 1 to 8,000 characters. */
  text: string;
  /** 1 to 100. */
  attempt?: number | null;
}

/** A voice that may be chosen, and its name for a person. */
export interface Voice {
  id: string;
  name: string;
}

/** A piece of the reply's text and when it sounds, in ms of its audio: `[text, start, end]`. In scripts without spaces it is a character. A piece without sound ends with the next piece that sounds. */
export type Word = [string, number, number];

export type ClientMessage =
  | Init
  | UserMessage
  | AudioStart
  | AudioChunk
  | SpeechPaused
  | SpeechResumed
  | AudioEnd
  | Interrupt
  | Config
  | Ack
  | Ping
  | End
  | ToolResult
  | Context
  | Silence;

export type ServerEvent =
  | Ready
  | AgentTurn
  | Transcript
  | ReplyText
  | Audio
  | ToolUpdate
  | ClientCall
  | Custom
  | TurnEnd
  | ConfigUpdated
  | Pong
  | SessionEnded
  | Error;
