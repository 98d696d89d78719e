/** A conversation as a store, by the contract of Svelte 3, 4 and 5. */
import { assemble } from "./assembly.js";

/** @typedef {import("./conversation-view.js").Picture} Picture */

/**
 * A conversation that lives as long as somebody follows it: connected with the first subscriber, closed
 * with the last. `$name` in a component subscribes for as long as the component lives.
 * @param {import("./assembly.js").ParleyOptions} options
 */
export function parley({ autoConnect = true, ...options }) {
  const { view, actions, begin, leave } = assemble(options);
  let followers = 0;
  return {
    /**
     * @param {(picture: Picture) => void} run called at once, and at every change
     * @returns {() => void} ends that
     */
    subscribe(run) {
      // On a server a component is rendered once, and nobody talks.
      const isPage = typeof document !== "undefined";
      followers += 1;
      const stopFollowing = view.subscribe(() => run(view.snapshot()));
      if (isPage && followers === 1 && autoConnect) begin();
      run(view.snapshot());
      let isFollowing = true;
      return () => {
        if (!isFollowing) return;
        isFollowing = false;
        followers -= 1;
        stopFollowing();
        if (isPage && followers === 0) leave();
      };
    },
    ...actions,
  };
}
