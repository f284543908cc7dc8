/** NTP answered in the page. That real clients believe it, the guests' tests show. */
import { afterEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { answerNtp, withTime, type TimeOptions } from "../../src/browser/timed-host-network.js";
import { ErrorCode } from "../../src/errors.js";
import type { HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { DatagramUser, opened } from "../host-network-contract/stack-side.js";
import { waitUntil } from "../support/wait-until.js";

const SERVER = ipEndpoint("192.0.2.123", 123);
const EPOCH_SECONDS = 2_208_988_800;
const peers = new PeerKit();
let network: HostNetwork | undefined;

afterEach(async () => {
  await network?.close();
  await peers.close();
});

function openSocket(options?: TimeOptions): DatagramUser {
  network = withTime(createNodeHostNetwork(), options);
  return new DatagramUser(opened(network.openDatagram(4)));
}

/** A client's message, its transmit timestamp being 1 to 8. */
function makeQuery(version = 4, mode = 3): Buffer {
  const query = Buffer.alloc(48);
  query[0] = (version << 3) | mode;
  query.set([1, 2, 3, 4, 5, 6, 7, 8], 40);
  return query;
}

const millisecondsAt = (message: Buffer, at: number): number =>
  (message.readUInt32BE(at) - EPOCH_SECONDS) * 1000 +
  (message.readUInt32BE(at + 4) * 1000) / 2 ** 32;

describe("a time server", () => {
  it.each([1, 2, 3, 4])(
    "at any address answers version %i from the page's clock",
    async (version) => {
      const user = openSocket();
      const before = Date.now();
      expect(user.trySend(makeQuery(version), SERVER)).toBe(48);
      const answer = await user.receive();
      expect(user.source.endpoint).toEqual(SERVER);
      expect(answer[0]).toBe((version << 3) | 4);
      expect(answer[1]).toBeGreaterThan(0);
      expect(answer[1]).toBeLessThan(16);
      expect([...answer.subarray(24, 32)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      for (const at of [32, 40]) {
        expect(millisecondsAt(answer, at)).toBeGreaterThanOrEqual(before - 1);
        expect(millisecondsAt(answer, at)).toBeLessThanOrEqual(Date.now() + 1);
      }
    },
  );

  it("answers nothing but clients", () => {
    for (const mode of [0, 1, 2, 4, 5, 6, 7])
      expect(answerNtp(makeQuery(4, mode), 0)).toBeUndefined();
    expect(answerNtp(makeQuery(0), 0)).toBeUndefined();
    expect(answerNtp(makeQuery().subarray(0, 47), 0)).toBeUndefined();
    expect(answerNtp(new Uint8Array(), 0)).toBeUndefined();
  });

  it("goes on after the seconds have begun again, in 2036", () => {
    const after = Buffer.from(answerNtp(makeQuery(), Date.UTC(2036, 1, 7, 6, 28, 17, 500))!);
    expect(after.readUInt32BE(40)).toBe(1);
    expect(after.readUInt32BE(44)).toBe(2 ** 31);
  });

  it("is only where it is said to be, and other ports are left alone", async () => {
    const { socket, endpoint } = await peers.udpSocket();
    const arrived: Buffer[] = [];
    socket.on("message", (message) => arrived.push(message));
    const user = openSocket({ servers: [SERVER.address] });
    const elsewhere: IpEndpoint = endpoint;
    user.trySend(makeQuery(), elsewhere);
    await waitUntil("it went out", () => arrived.length === 1);
    user.trySend(makeQuery(), SERVER);
    expect(await user.receive()).toHaveLength(48);
  });

  it("must be an address", () => {
    expect(() => openSocket({ servers: ["pool.ntp.org"] })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});
