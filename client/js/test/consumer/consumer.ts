// A stranger's program, checked against the declarations that the package ships.
import { Conversation, Microphone, Player, Problem, type Turn } from "parley-client";
import type { Metrics } from "parley-client/messages.js";
import { useParley } from "parley-client/react";

const conversation = new Conversation(async () => "wss://example.com/dev", {
  token: () => "secret",
  microphone: new Microphone(),
  player: new Player(),
  attempts: 3,
  agent: "waiter",
  tools: { find: async ({ city }, { callId, signal }) => ({ city, callId, late: signal.aborted }) },
});
conversation.on("tool", ({ title, state, ms }) => console.log(title, state, ms?.toFixed(1)));
conversation.on("custom", ({ name, data }) => console.log(name, data));
conversation.on("turn", ({ cause, fillers }) => console.log(cause === "greeting", fillers.length));
conversation.on("ended", ({ reason }) => console.log(reason === "agent"));
conversation.tell("A fact.");
conversation.on("state", ({ state, problem }) => console.log(state, problem?.code));
conversation.on("reply_text", ({ delta }) => console.log(delta.length));

export async function ask(text: string): Promise<Metrics> {
  await conversation.connect();
  const turn: Turn = conversation.say(text);
  for await (const event of turn) if (event.type === "audio") console.log(event.duration_ms);
  try {
    const { metrics, heard } = await turn;
    console.log(heard?.length);
    return metrics;
  } catch (problem) {
    if (problem instanceof Problem && problem.retryable) console.log(problem.message);
    throw problem;
  }
}

export function useTalk(): string {
  const { turns, say, state } = useParley({ url: "wss://example.com/dev" });
  if (state === "ready" && turns.length === 0) say("Hello");
  return turns.map(({ text }) => text).join("\n");
}

// @ts-expect-error: there is no such event
conversation.on("nonsense", () => undefined);
// @ts-expect-error: text is no function
new Conversation("wss://example.com/dev", { tools: { find: "text" } });
// @ts-expect-error: a number is no text
conversation.say(5);
