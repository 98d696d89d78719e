#!/bin/sh
# wav-decoder 1.3.0
# Guess: a reader of WAV steps over a chunk that it does not know. In RIFF a chunk of an odd size is
#   followed by a byte that its size does not count.
# Behaviour: it steps over the size alone, and reads the next chunk's name one byte early. A WAV with
#   a note of three characters in front of its samples is a RangeError; with four characters all is
#   well. wavefile 11.0.0 reads both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund wav-decoder@1.3.0 wavefile@11.0.0
cat >read.cjs <<'JS'
const wavDecoder = require("wav-decoder");
const { WaveFile } = require("wavefile");

function chunk(name, body) {
  const head = Buffer.alloc(8);
  head.write(name, "latin1");
  head.writeUInt32LE(body.length, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
}

function wav(note) {
  const format = Buffer.alloc(16);
  [[1, 0], [1, 2], [2, 12], [16, 14]].forEach(([value, at]) => format.writeUInt16LE(value, at));
  format.writeUInt32LE(8000, 4);
  format.writeUInt32LE(16000, 8);
  const chunks = [chunk("fmt ", format), chunk("note", Buffer.from(note)), chunk("data", Buffer.alloc(320))];
  return chunk("RIFF", Buffer.concat([Buffer.from("WAVE"), ...chunks]));
}

const readers = {
  "wav-decoder": (data) => wavDecoder.decode.sync(data).channelData[0].length,
  wavefile: (data) => new WaveFile(data).getSamples().length,
};
const found = [];
for (const [name, read] of Object.entries(readers)) {
  for (const note of ["four", "odd"]) {
    let samples;
    try {
      samples = read(wav(note));
    } catch (error) {
      samples = error.constructor.name;
      console.log(`  ${error.message}`);
    }
    console.log(`${name}, a note of ${note.length} bytes: ${samples}`);
    found.push(samples);
  }
}
const wanted = [160, "RangeError", 160, 160];
process.exit(JSON.stringify(found) === JSON.stringify(wanted) ? 0 : 1);
JS
node read.cjs
