// A guest of raw frames in Node: asks for the gateway's address (RFC 826), then for a lease (RFC 2131), and prints both.

import { createSlirp } from "slirp-wasm/node";

const GUEST_MAC = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

function makeArpRequest() {
  const question = [
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
  return Uint8Array.from([...BROADCAST, ...GUEST_MAC, 8, 6, ...question]);
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function makeDiscover() {
  const message = new Uint8Array(244);
  message.set([1, 1, 6, 0, 1, 2, 3, 4]);
  message.set(GUEST_MAC, 28);
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236);
  const udpLength = 8 + message.length;
  const udp = [0, 68, 0, 67, udpLength >> 8, udpLength & 0xff, 0, 0];
  const length = 20 + udpLength;
  const ip = [0x45, 0, length >> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0];
  ip.push(255, 255, 255, 255);
  const sum = checksum(ip);
  ip[10] = sum >> 8;
  ip[11] = sum & 0xff;
  return Uint8Array.from([...BROADCAST, ...GUEST_MAC, 8, 0, ...ip, ...udp, ...message]);
}

const slirp = await createSlirp();
const frames = [];
const arrivals = [];
slirp.callbacks = {
  onFrames({ bytes, count, offsets, lengths }) {
    for (let i = 0; i < count; i++) frames.push(bytes.slice(offsets[i], offsets[i] + lengths[i]));
    while (arrivals.length > 0) arrivals.shift()();
  },
};
slirp.enableReceive();

async function find(isIt) {
  for (;;) {
    const found = frames.find(isIt);
    if (found) return found;
    await new Promise((resolve) => arrivals.push(resolve));
  }
}

const isArp = (frame) => frame[12] === 8 && frame[13] === 6;
const isDhcp = (frame) =>
  frame[12] === 8 && frame[13] === 0 && frame[23] === 17 && frame[35] === 67;

console.log(slirp.send(makeArpRequest()));
const answer = await find(isArp);
console.log([...answer.subarray(28, 32)].join("."));
slirp.send(makeDiscover());
const offer = await find(isDhcp);
console.log([...offer.subarray(58, 62)].join("."));
await slirp.close();
