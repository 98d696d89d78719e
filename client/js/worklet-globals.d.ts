// What an AudioWorklet's global scope has; TypeScript's DOM library leaves it out.

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
  constructor();
}

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
