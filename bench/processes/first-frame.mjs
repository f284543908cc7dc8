// From `import` to the first frame answered, once, in a process that has done nothing else yet. Prints milliseconds as JSON.

const startMs = performance.now();
const { createSlirp } = await import("../../dist/node.js");
const importedMs = performance.now();
const slirp = await createSlirp();
const createdMs = performance.now();
const answered = new Promise((resolve) => {
  slirp.callbacks = { onFrames: resolve };
});
slirp.enableReceive();
// Who has 10.0.2.2? (RFC 826)
const question = new Uint8Array(60);
question.fill(0xff, 0, 6);
question.set([0x52, 0x54, 0, 0x12, 0x34, 0x56], 6);
question.set(
  [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15],
  12,
);
question.set([10, 0, 2, 2], 38);
slirp.send(question);
const batch = await answered;
const answeredMs = performance.now();
const at = batch.offsets[0];
const isAnswer = batch.bytes[at + 12] === 0x08 && batch.bytes[at + 13] === 0x06;
if (!isAnswer) throw new Error("the first frame is no ARP answer");
const times = {
  import: importedMs - startMs,
  create: createdMs - importedMs,
  answer: answeredMs - createdMs,
  total: answeredMs - startMs,
  // performance.now() counts from the start of the process.
  process: answeredMs,
};
await slirp.close();
process.stdout.write(`${JSON.stringify(times)}\n`);
