/** A conversation as a React hook, for React 18 and 19. */
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { ConversationView } from "./conversation-view.js";
import { Conversation } from "./conversation.js";
import { Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { Problem } from "./problem.js";

/**
 * @typedef {import("./conversation.js").ConversationOptions & {
 *   url: import("./reconnector.js").Asked, microphone?: Microphone, player?: Player,
 *   autoConnect?: boolean}} ParleyOptions `autoConnect`: false waits for `connect()`
 */

/**
 * A conversation that lives as long as the component: connected when it appears, closed when it
 * goes. What the options said at first counts; for another address, give the component another
 * `key`. Of `tools` the names count, and the functions of the latest render are called.
 * @param {ParleyOptions} options
 */
export function useParley({ autoConnect = true, ...options }) {
  const latest = useRef(options.tools);
  const [{ view, actions, conversation, ownPlayer }] = useState(() =>
    partsOf({ ...options, tools: latestOf(latest) }),
  );
  const picture = useSyncExternalStore(view.subscribe, view.snapshot, view.snapshot);
  useEffect(() => {
    latest.current = options.tools;
  });
  useEffect(() => {
    if (autoConnect) {
      conversation.connect().catch((problem) => {
        // The state tells why it did not work.
        if (!(problem instanceof Problem)) throw problem;
      });
    }
    return () => {
      void conversation.stopHandsFree();
      void conversation.interrupt();
      // The microphone too, unless another conversation uses it.
      conversation.close();
      void ownPlayer?.close();
    };
  }, [conversation, actions, ownPlayer, autoConnect]);
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

/** @param {Omit<ParleyOptions, "autoConnect">} options */
function partsOf({ url, microphone = new Microphone(), player: given, ...options }) {
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
      (/** @type {import("./hands-free.js").HandsFreeSettings | undefined} */ settings) =>
        conversation.startHandsFree(settings),
    ),
    stopHandsFree: () => conversation.stopHandsFree(),
    interrupt: () => conversation.interrupt(),
    retry: (/** @type {string} */ turnId) => conversation.retry(turnId),
    configure: (/** @type {import("./messages.js").Settings} */ settings) =>
      conversation.configure(settings),
    tell: (/** @type {string} */ fact) => conversation.tell(fact),
    end: () => conversation.end(),
    unlock: () => player.unlock(),
    /** For what the hook does not show: every event, the levels. */
    conversation,
    microphone,
    player,
  };
  const view = new ConversationView(conversation, player);
  // One that was handed in may have more to play.
  return { conversation, actions, view, ownPlayer: given ? undefined : player };
}
