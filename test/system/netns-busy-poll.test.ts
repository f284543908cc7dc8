/**
 * `--busy-poll`, in a program that has nothing but a network's system calls: while guest and host take turns it goes to sleep seldom, which
 * the kernel counts, and every turn comes through.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { NetnsProcess, OURS } from "../support/netns-program.js";

const TURNS = 500;
/** Of which one must show it: with other processes about, turns may take long, or come before anybody could sleep. */
const TRIES = 8;

/** Sends a byte, waits for its echo, and so on; prints how many came. */
const takeTurns = (port: number): string => `
  import { connect } from "node:net";
  const socket = connect({ host: "10.0.2.2", port: ${String(port)}, noDelay: true });
  let turns = 0;
  socket.on("data", (bytes) => {
    turns += bytes.length;
    if (turns < ${String(TURNS)}) socket.write(bytes);
    else socket.end();
  });
  socket.on("close", () => console.log(turns));
  socket.write("x");`;

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("turns of guest and host", () => {
  let guest: GuestNamespace;

  beforeEach(async () => {
    guest = await GuestNamespace.create();
  });

  afterEach(async () => {
    await guest.close();
  });

  function statusOf(process: NetnsProcess, name: string): number {
    const text = readFileSync(`/proc/${String(process.child.pid)}/status`, "utf8");
    return Number(new RegExp(`^${name}:\\s+(\\d+)$`, "m").exec(text)?.[1]);
  }

  /** How often the program went to sleep in each try, until one is as wanted. */
  async function countSleeps(
    words: readonly string[],
    isWanted: (sleeps: number) => boolean,
  ): Promise<number[]> {
    const line = ["--configure", ...words, String(guest.pid), "tap0"];
    await using process = await NetnsProcess.start(OURS, line);
    const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const tries: number[] = [];
    try {
      if (words.includes("--enable-seccomp")) expect(statusOf(process, "Seccomp")).toBe(2);
      while (tries.length < TRIES && !tries.some(isWanted)) {
        const before = statusOf(process, "voluntary_ctxt_switches");
        expect(await guest.runScript(takeTurns(port))).toBe(`${String(TURNS)}\n`);
        tries.push(statusOf(process, "voluntary_ctxt_switches") - before);
      }
    } finally {
      server.close();
    }
    return tries;
  }

  it("are slept for with --busy-poll=0", async () => {
    const tries = await countSleeps(["--busy-poll=0"], (sleeps) => sleeps > TURNS / 2);
    expect(Math.max(...tries)).toBeGreaterThan(TURNS / 2);
  });

  for (const words of [["--enable-seccomp"], ["--enable-sandbox", "--enable-seccomp"]]) {
    it(`are polled for, confined: [${words.join(" ")}]`, async () => {
      const line = [...words, "--busy-poll=1000"];
      const tries = await countSleeps(line, (sleeps) => sleeps < TURNS / 2);
      expect(Math.min(...tries)).toBeLessThan(TURNS / 2);
    });
  }

  it("come through with the default, confined", async () => {
    expect(await countSleeps(["--enable-seccomp"], () => true)).toHaveLength(1);
  });
});
