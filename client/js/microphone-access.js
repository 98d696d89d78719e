/** Asks the browser for the microphone, and says in a sentence why it cannot be had. */
import { Problem } from "./problem.js";

/** Processing that a conversation needs: a loudspeaker next to the microphone, a voice in a room. */
const AUDIO = {
  channelCount: 1,
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

/**
 * @typedef {object} Reason
 * @property {string} code
 * @property {string} text
 * @property {boolean} [retryable]
 */

/**
 * By the name of what `getUserMedia` rejects with ("Media Capture and Streams", 10.2), and the names
 * that browsers had before.
 * @type {Record<string, Reason>}
 */
const REASONS = {
  NotAllowedError: {
    code: "microphone_denied",
    text: "The microphone is not allowed. Allow it in the browser's address bar to talk.",
  },
  SecurityError: {
    code: "microphone_denied",
    text: "The browser's security settings keep the microphone from this page.",
  },
  NotFoundError: {
    code: "microphone_missing",
    text: "No microphone was found. Connect one, and try again.",
  },
  OverconstrainedError: {
    code: "microphone_missing",
    text: "No microphone here can do what is asked of it.",
  },
  NotReadableError: {
    code: "microphone_failed",
    text:
      "The microphone could not be opened. Another program may be using it, or the system does not " +
      "let the browser have it.",
    retryable: true,
  },
  AbortError: {
    code: "microphone_failed",
    text: "The microphone did not start: the device or its driver broke off.",
    retryable: true,
  },
  InvalidStateError: {
    code: "microphone_failed",
    text: "The microphone can be opened only while the page is shown. Come back to it, and try again.",
    retryable: true,
  },
};
/** @type {Record<string, string>} */
const FORMER_NAMES = {
  PermissionDeniedError: "NotAllowedError",
  DevicesNotFoundError: "NotFoundError",
  ConstraintNotSatisfiedError: "OverconstrainedError",
  TrackStartError: "NotReadableError",
};

/**
 * @param {string} [deviceId] which one, if it is there; the system's choice otherwise
 * @returns {Promise<MediaStream>} once the user, too, has decided
 * @throws {Problem} `microphone_denied`, `microphone_missing`, `microphone_failed`
 */
export async function askForMicrophone(deviceId) {
  if (!globalThis.navigator?.mediaDevices?.getUserMedia) throw unsupported();
  try {
    const wanted = deviceId ? { ...AUDIO, deviceId: { ideal: deviceId } } : AUDIO;
    return await navigator.mediaDevices.getUserMedia({ audio: wanted });
  } catch (cause) {
    throw refusal(cause);
  }
}

/**
 * Why the browser gives none.
 * @param {unknown} cause
 * @returns {Problem}
 */
function refusal(cause) {
  // Not by `instanceof`: an OverconstrainedError was no DOMException for years.
  const { name = "", message = "" } = /** @type {Partial<Error>} */ (Object(cause));
  const known = FORMER_NAMES[name] ?? name;
  const reason = REASONS[known];
  if (known === "NotAllowedError") return notAllowed(message, cause);
  if (reason) {
    const { code, text, retryable } = reason;
    return new Problem(code, text, { retryable, cause });
  }
  return notOpened(cause);
}

/**
 * Why a microphone that was given could not be used, or nobody knows: the same names mean other things
 * where they come from the graph of sound.
 * @param {unknown} cause
 * @returns {Problem}
 */
export function notOpened(cause) {
  if (cause instanceof Problem) return cause;
  const { name = "" } = /** @type {Partial<Error>} */ (Object(cause));
  const why = name && name !== "Error" ? ` (${name})` : "";
  const text = `The microphone could not be opened${why}.`;
  return new Problem("microphone_failed", text, { retryable: true, cause });
}

/** @param {MediaStream} stream whose recording mark goes */
export function endTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * The user, the system or the page around has said no; it takes different people to change that.
 * @param {string} message Chromium's tells them apart
 * @param {unknown} cause
 */
function notAllowed(message, cause) {
  const code = "microphone_denied";
  if (/system/i.test(message)) {
    const text = "The system does not let the browser use the microphone. Allow it in its privacy settings.";
    return new Problem(code, text, { cause });
  }
  if (/dismissed/i.test(message)) {
    const text = "The question about the microphone was closed without an answer. Try again, and allow it.";
    return new Problem(code, text, { retryable: true, cause });
  }
  if (isForbiddenToPage()) {
    const text =
      "The page may not use the microphone: its own headers, or the page around it, do not pass the " +
      "permission on (Permissions-Policy: microphone, or allow=\"microphone\" of the frame).";
    return new Problem(code, text, { cause });
  }
  return new Problem(code, REASONS["NotAllowedError"]?.text ?? "", { cause });
}

/** Whether a policy forbids it, whatever the user says. Chromium alone tells. */
function isForbiddenToPage() {
  const { featurePolicy } =
    /** @type {{featurePolicy?: {allowsFeature: (name: string) => boolean}}} */ (
      globalThis.document ?? {}
    );
  return featurePolicy?.allowsFeature("microphone") === false;
}

function unsupported() {
  const isInsecure = globalThis.isSecureContext === false;
  const text = isInsecure
    ? "The microphone needs a secure page: https, or localhost."
    : "This browser gives pages no microphone. Another browser may.";
  return new Problem("microphone_missing", text);
}
