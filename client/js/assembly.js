/** A conversation with its microphone, its sound and its picture: what the hooks and the element share. */
import { ConversationView } from "./conversation-view.js";
import { Conversation } from "./conversation.js";
import { Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { Problem } from "./problem.js";

/**
 * @typedef {import("./conversation.js").ConversationOptions & {
 *   url: import("./reconnector.js").Asked, microphone?: Microphone, player?: Player}} Assembled
 */

/**
 * @typedef {Assembled & {autoConnect?: boolean}} ParleyOptions `autoConnect`: false waits for `connect()`
 */

/** @param {Assembled} options */
export function assemble({ url, microphone = new Microphone(), player: given, ...options }) {
  const player = given ?? new Player();
  const conversation = new Conversation(url, { ...options, microphone, player });
  /** From a user's gesture, so sound is allowed from here on.
   * @template {unknown[]} Given
   * @template Result
   * @param {(...given: Given) => Result} act
   * @returns {(...given: Given) => Result}
   */
  const inGesture =
    (act) =>
    (...given) => {
      player.unlock();
      return act(...given);
    };
  const actions = {
    connect: inGesture(() => conversation.connect()),
    say: inGesture((/** @type {string} */ text) => conversation.say(text)),
    startSpeaking: inGesture(
      (/** @type {[options?: import("./utterances.js").Speaking]} */ ...options) =>
        conversation.startSpeaking(...options),
    ),
    stopSpeaking: () => conversation.stopSpeaking(),
    startHandsFree: inGesture(
      (/** @type {[settings?: import("./hands-free.js").HandsFreeSettings]} */ ...settings) =>
        conversation.startHandsFree(...settings),
    ),
    stopHandsFree: () => conversation.stopHandsFree(),
    interrupt: () => conversation.interrupt(),
    retry: (/** @type {string} */ turnId) => conversation.retry(turnId),
    configure: (/** @type {import("./messages.js").Settings} */ settings) =>
      conversation.configure(settings),
    tell: (/** @type {string} */ fact) => conversation.tell(fact),
    end: () => conversation.end(),
    unlock: () => player.unlock(),
    /** For what the picture does not show: every event, the levels. */
    conversation,
    microphone,
    player,
  };
  const view = new ConversationView(conversation, player);
  /** Connect without a gesture. */
  const begin = () => {
    conversation.connect().catch((problem) => {
      // The state tells why it did not work.
      if (!(problem instanceof Problem)) throw problem;
    });
  };
  /** Fall silent, let go of the microphone and close; `begin` or `connect` comes back. */
  const leave = () => {
    void conversation.stopHandsFree();
    void conversation.interrupt();
    // The microphone too, unless another conversation uses it.
    conversation.close();
    // One that was handed in may have more to play.
    if (!given) void player.close();
  };
  return { view, actions, begin, leave };
}
