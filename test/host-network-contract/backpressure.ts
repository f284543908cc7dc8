/** The contract of streams: whoever reads slowly slows the writer down, loses nothing, and costs bounded memory. */
import type { Socket } from "node:net";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Errno, MAX_BUFFERED_BYTES, Readiness } from "../../src/host-network.js";
import { needs } from "./fixture.js";
import { sendUntilFull, sleep, type StreamUser } from "./stack-side.js";
import type { SuiteContext } from "./suite-context.js";
import { sha256, testBytes } from "./test-data.js";

/** The large transfer: 100 MB in pieces that are not a multiple of anybody's buffer. */
const PIECE_BYTES = 250_000;
const PIECES = 400;
const TRANSFER_TIMEOUT_MS = 120_000;

/** Long enough for every buffer on the way to fill up. */
const STALL_MS = 400;

export function describeBackpressure(suite: SuiteContext): void {
  describe("a reader on the other side that does not read", () => {
    it("stops the sender before the bound, and lets it go on when it reads", async (context) => {
      needs(context, suite.fixture, "backpressure");
      const { user, peer } = await suite.connectedStream();
      const taken = [await sendUntilStalled(user)];
      const before = user.edges.length;
      await sleep(50);
      expect(user.edges.length).toBe(before);
      let received = 0;
      const hash = createHash("sha256");
      peer.on("data", (piece: Buffer) => {
        received += piece.length;
        hash.update(piece);
      });
      peer.resume();
      await user.edge(Readiness.writable);
      taken.push(Buffer.from("the end"));
      await user.sendBytes(Buffer.from("the end"));
      const all = Buffer.concat(taken);
      while (received < all.length) await sleep(5);
      expect(hash.digest("hex")).toBe(sha256(all));
    });

    it("makes one turn's sending stop at the bound", async () => {
      const { user } = await suite.connectedStream();
      expect(sendUntilFull(user).length).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
    });

    it(
      "gets 100 MB through unchanged when it reads slowly",
      async () => {
        const { user, peer } = await suite.connectedStream();
        const piece = testBytes(PIECE_BYTES);
        const sent = createHash("sha256");
        const received = readSlowly(peer);
        for (let i = 0; i < PIECES; i += 1) {
          piece.writeUInt32LE(i, 0);
          sent.update(piece);
          await user.sendBytes(piece);
        }
        user.close();
        expect(await received).toBe(sent.digest("hex"));
      },
      TRANSFER_TIMEOUT_MS,
    );
  });

  describe("a stack that does not read", () => {
    it("has at most the bound waiting for it, and loses nothing", async (context) => {
      needs(context, suite.fixture, "flowControl");
      const { user, peer } = await suite.connectedStream();
      const data = testBytes(20 * 1024 * 1024);
      peer.end(data);
      await sleep(STALL_MS);
      // Within one turn nothing can come in from the system: what is there is what was held.
      const target = Buffer.alloc(2 * MAX_BUFFERED_BYTES);
      let held = 0;
      for (let count = 1; count > 0; held += Math.max(count, 0)) {
        count = user.tryReceive(target.subarray(held));
      }
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
      expect(peer.writableLength).toBeGreaterThan(0);
      const rest = await user.receiveBytes();
      expect(sha256(Buffer.concat([target.subarray(0, held), rest]))).toBe(sha256(data));
    });

    it("has at most the bound waiting in both directions together", async (context) => {
      needs(context, suite.fixture, "flowControl");
      const { user, peer } = await suite.connectedStream();
      peer.write(testBytes(20 * 1024 * 1024));
      await sendUntilStalled(user);
      await sleep(STALL_MS);
      const target = Buffer.alloc(2 * MAX_BUFFERED_BYTES);
      let held = 0;
      for (let count = 1; count > 0; held += Math.max(count, 0)) {
        count = user.tryReceive(target.subarray(held));
      }
      // What is held to be sent cannot be counted from here; it is no less than what a free stream takes in one turn.
      const other = await suite.connectedStream();
      expect(held + sendUntilFull(other.user).length).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
    });

    it(
      "gets 100 MB unchanged when it reads slowly",
      async (context) => {
        needs(context, suite.fixture, "wholeDownloads");
        const { user, peer } = await suite.connectedStream();
        const sent = sendSteadily(peer);
        const hash = createHash("sha256");
        const target = Buffer.alloc(50_000);
        for (let received = 0, nextPause = 0; ;) {
          const count = await user.receive(target);
          if (count <= 0) break;
          hash.update(target.subarray(0, count));
          received += count;
          if (received < nextPause) continue;
          nextPause = received + 4_000_000;
          await sleep(20);
        }
        expect(hash.digest("hex")).toBe(await sent);
      },
      TRANSFER_TIMEOUT_MS,
    );
  });
}

/** Sends over several turns until nothing is taken any more; answers what was taken. */
async function sendUntilStalled(user: StreamUser): Promise<Buffer> {
  const taken: Buffer[] = [];
  for (let idleMs = 0; idleMs < STALL_MS;) {
    const more = sendUntilFull(user);
    taken.push(more);
    idleMs = more.length > 0 ? 0 : idleMs + 20;
    await sleep(20);
  }
  expect(user.trySend(Buffer.from("x"))).toBe(-Errno.EAGAIN);
  return Buffer.concat(taken);
}

/** Reads with pauses; answers the digest of all that came until FIN. */
function readSlowly(peer: Socket): Promise<string> {
  const hash = createHash("sha256");
  let nextPause = 0;
  let received = 0;
  return new Promise((resolve, reject) => {
    peer.on("data", (piece: Buffer) => {
      hash.update(piece);
      received += piece.length;
      if (received < nextPause) return;
      nextPause = received + 4_000_000;
      peer.pause();
      setTimeout(() => peer.resume(), 20);
    });
    peer.resume();
    peer.once("end", () => resolve(hash.digest("hex")));
    peer.once("error", reject);
  });
}

/** Sends the large transfer as fast as it is taken; answers its digest. */
async function sendSteadily(peer: Socket): Promise<string> {
  const hash = createHash("sha256");
  for (let i = 0; i < PIECES; i += 1) {
    const piece = testBytes(PIECE_BYTES, i + 1);
    hash.update(piece);
    if (!peer.write(piece)) await new Promise((resolve) => peer.once("drain", resolve));
  }
  peer.end();
  return hash.digest("hex");
}
