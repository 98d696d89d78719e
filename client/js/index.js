/**
 * Parley in a browser: plain ES modules, no dependency, no build step.
 * @module parley-client
 */
export { ConversationView } from "./conversation-view.js";
export { Conversation } from "./conversation.js";
export { partsOf, placesIn, withDelta } from "./fillers.js";
export { heardText } from "./heard.js";
export { Microphone } from "./microphone.js";
export { Player } from "./player.js";
export { Problem } from "./problem.js";
export { Turn } from "./turn.js";
