/** Says which parts of a deployment only stand in for real ones. */

/** In the order in which they are named. @type {[stage: string, what: string][]} */
const STAGES = [
  ["synthesizer", "voice"],
  ["transcriber", "ears"],
  ["responder", "answers"],
];

/**
 * @param {readonly string[]} stages as `ready` names them
 * @returns {string} empty if there are none
 */
export function standInsNote(stages) {
  const known = STAGES.filter(([stage]) => stages.includes(stage)).map(([, what]) => what);
  if (stages.length === 0) return "";
  if (known.length === 0) return "Parts of this are stand-ins for development.";
  const words = [...known.slice(0, -2), known.slice(-2).join(" and ")].join(", ");
  const isOne = known.length === 1 && known[0] === "voice";
  const sentence = isOne ? `${words} is a stand-in` : `${words} are stand-ins`;
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)} for development.`;
}
