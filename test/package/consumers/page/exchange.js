// A guest of raw frames: asks for the gateway's address (RFC 826) and answers what it was told.

const GUEST_MAC = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const QUESTION = [
  0,
  1,
  8,
  0,
  6,
  4,
  0,
  1,
  ...GUEST_MAC,
  10,
  0,
  2,
  15,
  0,
  0,
  0,
  0,
  0,
  0,
  10,
  0,
  2,
  2,
];
export const REQUEST = Uint8Array.from([
  255,
  255,
  255,
  255,
  255,
  255,
  ...GUEST_MAC,
  8,
  6,
  ...QUESTION,
]);

/** Answers the sender of the ARP answer, such as "10.0.2.2". */
export async function askForGateway(slirp) {
  const answer = await new Promise((resolve) => {
    slirp.callbacks = {
      onFrames({ bytes, offsets, lengths }) {
        const frame = bytes.slice(offsets[0], offsets[0] + lengths[0]);
        if (frame[12] === 8 && frame[13] === 6) resolve(frame);
      },
    };
    slirp.enableReceive();
    slirp.send(REQUEST);
  });
  return [...answer.subarray(28, 32)].join(".");
}
