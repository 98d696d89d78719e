// Generated from layers/parley/parley/protocol/messages.py by docs/generate.py; do not edit.

/** Every event of an attempt at the turn, up to `seq`, has arrived. */
export interface Ack {
  type: "ack";
  turn_id: string;
  seq: number;
  played_ms?: number | null;
  attempt?: number;
}

/** More of the reply's audio, from `start_ms` for `duration_ms`. */
export interface Audio {
  type: "audio";
  turn_id: string;
  seq: number;
  audio: string;
  format: "pcm_16000" | "pcm_22050" | "pcm_24000" | "pcm_44100" | "pcm_48000" | "pcm_8000";
  start_ms: number;
  duration_ms: number;
  words?: Word[];
  attempt?: number;
}

/** Up to 20 KB of the utterance; 100 ms is usual. */
export interface AudioChunk {
  type: "audio_chunk";
  turn_id: string;
  seq: number;
  audio: string;
}

/** The user has finished. `chunks` says how many chunks there were. */
export interface AudioEnd {
  type: "audio_end";
  turn_id: string;
  chunks: number;
}

/** A spoken turn begins. `attempt` is as in `user_message`. */
export interface AudioStart {
  type: "audio_start";
  turn_id: string;
  format?: "pcm_16000" | "pcm_22050" | "pcm_24000" | "pcm_44100" | "pcm_48000" | "pcm_8000";
  endpointing?: "manual" | "server_vad";
  attempt?: number | null;
}

/** What a client may choose: the settings that it may set, and the values of those that have a closed list. */
export interface Choices {
  settings: ("language" | "record" | "speed" | "stability" | "style" | "voice")[];
  voices: Voice[];
  languages: string[];
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

/** Ends the session. */
export interface End {
  type: "end";
}

/** Something went wrong. It has a `seq` when it is an event of a turn, and none when it answers a message. `seq` is 0 where it explains a `turn_end` with `seq` 0. */
export interface Error {
  type: "error";
  code: "audio_gap" | "bad_request" | "internal" | "no_speech" | "not_initialised" | "quota_exceeded" | "rate_limited" | "reply_failed" | "resume_denied" | "session_not_found" | "speech_failed" | "too_large" | "transcription_failed" | "turn_over" | "turn_running" | "turn_timeout" | "unauthorized" | "unknown_type" | "unsupported_protocol";
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
  resume_token?: string | null;
  received?: Received | null;
  settings?: Settings;
}

/** Stop the reply. The user has heard `played_ms` of its audio. */
export interface Interrupt {
  type: "interrupt";
  turn_id: string;
  played_ms: number;
}

/** A limit that was met: its name, its value in the unit of the name, and whom it holds for. */
export interface Limit {
  name: string;
  value: number;
  scope: "connection" | "subject" | "tenant";
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
  role: "assistant" | "user";
  text: string;
  turn_id: string;
  heard?: string | null;
  started_ms?: number;
}

/** Where a turn's time went, in ms. Zero is the moment when API Gateway received `user_message` or `audio_end`. The parts from `dispatch_ms` to `delivery_ms` add up to `first_audio_ms`. */
export interface Metrics {
  dispatch_ms?: number | null;
  transcript_ms?: number | null;
  prepare_ms?: number | null;
  responder_ms?: number | null;
  clause_ms?: number | null;
  synthesizer_ms?: number | null;
  delivery_ms?: number | null;
  first_text_ms?: number | null;
  first_audio_ms?: number | null;
  total_ms?: number | null;
  audio_ms?: number | null;
  reply_chars?: number | null;
  posts?: number | null;
  retries?: number | null;
  cold?: boolean | null;
  connection_reused?: boolean | null;
}

/** Heartbeat. `sent_at` comes back unchanged. With `turn_id` it also asks whether this attempt at the turn still runs. An attempt that does not run, and never ended, is ended now. */
export interface Ping {
  type: "ping";
  sent_at: number;
  turn_id?: string | null;
  attempt?: number;
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
  stand_ins?: ("responder" | "synthesizer" | "transcriber")[];
  history?: Message[];
}

/** How far a returning client has got: it has every event up to `seq` of its oldest turn that has not ended, or of its latest turn. */
export interface Received {
  turn_id: string;
  seq: number;
  attempt?: number;
}

/** More of the reply's text. */
export interface ReplyText {
  type: "reply_text";
  turn_id: string;
  seq: number;
  delta: string;
  attempt?: number;
}

/** Answers `end`, or says that another connection has taken the session over. */
export interface SessionEnded {
  type: "session_ended";
  session_id: string;
  reason?: "ended" | "replaced";
}

/** The settings of a session's replies. Every field is optional. A field that is not set keeps the deployment's default. `ready.choices` says which fields a client may set. */
export interface Settings {
  voice?: string;
  language?: string;
  speed?: number;
  stability?: number;
  style?: string;
  record?: boolean;
}

/** What the user is understood to have said so far. A final transcript does not change. */
export interface Transcript {
  type: "transcript";
  turn_id: string;
  seq: number;
  text: string;
  final: boolean;
  attempt?: number;
}

/** The last event of a turn. `heard` is set when less was heard than said. A turn whose function died is ended by another function, which does not know its events. Then `seq` is 0, and no more events of this attempt will come. */
export interface TurnEnd {
  type: "turn_end";
  turn_id: string;
  seq: number;
  reason: "completed" | "failed" | "interrupted";
  text: string;
  metrics: Metrics;
  heard?: string | null;
  code?: "audio_gap" | "bad_request" | "internal" | "no_speech" | "not_initialised" | "quota_exceeded" | "rate_limited" | "reply_failed" | "resume_denied" | "session_not_found" | "speech_failed" | "too_large" | "transcription_failed" | "turn_over" | "turn_running" | "turn_timeout" | "unauthorized" | "unknown_type" | "unsupported_protocol" | null;
  retryable?: boolean;
  attempt?: number;
}

/** A typed turn. `attempt` counts from 1. The same attempt of a turn runs once, however often it is sent. A turn that has failed runs again with the next attempt, or when it is sent without an attempt. */
export interface UserMessage {
  type: "user_message";
  turn_id: string;
  text: string;
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
  | AudioEnd
  | Interrupt
  | Config
  | Ack
  | Ping
  | End;

export type ServerEvent =
  | Ready
  | Transcript
  | ReplyText
  | Audio
  | TurnEnd
  | ConfigUpdated
  | Pong
  | SessionEnded
  | Error;
