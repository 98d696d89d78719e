/** A conversation as a Vue composable, for Vue 3. */
import { onMounted, onUnmounted, shallowRef } from "vue";

import { assemble } from "./assembly.js";

/**
 * A conversation that lives as long as the component: connected when it is mounted, closed when it
 * goes. What the options said at first counts; for another address, give the component another `key`.
 * @param {import("./assembly.js").ParleyOptions} options
 */
export function useParley({ autoConnect = true, ...options }) {
  const { view, actions, begin, leave } = assemble(options);
  const picture = shallowRef(view.snapshot());
  /** @type {(() => void) | undefined} */
  let stopFollowing;
  // On a server nothing is mounted, and nothing connects.
  onMounted(() => {
    stopFollowing = view.subscribe(() => (picture.value = view.snapshot()));
    if (autoConnect) begin();
  });
  onUnmounted(() => {
    stopFollowing?.();
    leave();
  });
  return {
    /** How things stand: see `ConversationView`. */
    picture,
    ...actions,
  };
}
