/** Commands as streams, and files: what a guest forward and TFTP stand on. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Errno, MAX_BUFFERED_BYTES } from "../../src/host-network.js";
import { createNodeHostNetwork, type NodeHostNetwork } from "../../src/node/node-host-network.js";
import {
  nextTurn,
  opened,
  sendUntilFull,
  sleep,
  StreamUser,
} from "../host-network-contract/stack-side.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";

describe("Node's host network", () => {
  let network: NodeHostNetwork;
  let folder = "";

  beforeEach(() => {
    network = createNodeHostNetwork({ lingerMs: 300, closeTimeoutMs: 300 });
    folder = mkdtempSync(join(tmpdir(), "node-command-"));
  });

  afterEach(async () => {
    await network.close();
    rmSync(folder, { recursive: true });
  });

  const run = (commandLine: string): StreamUser =>
    new StreamUser(opened(network.openCommand(commandLine)));

  describe("a command", () => {
    it("gets what is sent and gives what it prints, to the end", async () => {
      const user = run("tr a-z A-Z");
      await user.sendBytes(Buffer.from("shout"));
      user.shutdownWrite();
      expect(user.trySend(Buffer.from("more"))).toBe(-Errno.EPIPE);
      expect((await user.receiveBytes()).toString()).toBe("SHOUT");
    });

    it("goes through the shell", async () => {
      expect((await run("echo 'a  b' | tr -d a").receiveBytes()).toString()).toBe("  b\n");
    });

    it("carries megabytes both ways, with bounded memory where nobody reads", async () => {
      const user = run("cat");
      const data = testBytes(5_000_000);
      const sending = user.sendBytes(data).then(() => user.shutdownWrite());
      await sleep(200);
      const target = Buffer.alloc(2 * MAX_BUFFERED_BYTES);
      const held = user.tryReceive(target);
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThanOrEqual(MAX_BUFFERED_BYTES / 2);
      const rest = await user.receiveBytes();
      await sending;
      expect(sha256(Buffer.concat([target.subarray(0, held), rest]))).toBe(sha256(data));
    });

    it("that stops reading fails sending, and can still be read", async () => {
      const user = run("exec <&-; sleep 0.2; echo done");
      let answer = 0;
      while (answer >= 0 || answer === -Errno.EAGAIN) {
        answer = user.trySend(Buffer.from("x"));
        await sleep(5);
      }
      expect(answer).toBe(-Errno.EPIPE);
      expect((await user.receiveBytes()).toString()).toBe("done\n");
    });

    it("that does not exist ends with nothing", async () => {
      expect(await run("exec /no-such-command 2>/dev/null").receiveBytes()).toHaveLength(0);
    });

    it("gets what was taken before close, and time to deal with it", async () => {
      const path = join(folder, "written");
      const user = run(`cat > ${path}; echo ended >> ${path}`);
      await nextTurn();
      const taken = sendUntilFull(user);
      user.close();
      const expected = `${taken.toString("latin1")}ended\n`;
      await expect.poll(() => readFileSync(path, "latin1") === expected).toBe(true);
    });

    it("that does not end by itself after close is ended", async () => {
      const user = run("echo $$; exec sleep 100");
      const pid = await pidFrom(user);
      user.close();
      await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
    });

    it("that never takes its input is ended after the linger time", async () => {
      const user = run("echo $$; exec sleep 100");
      const pid = await pidFrom(user);
      while (sendUntilFull(user).length > 0) await sleep(20);
      user.close();
      await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
    });

    it("is ended at once by a reset, and by the end of the network", async () => {
      const user = run("echo $$; exec sleep 100");
      const other = run("trap '' TERM; echo $$; while :; do sleep 0.1; done");
      const pids = [await pidFrom(user), await pidFrom(other)];
      user.reset();
      await expect.poll(() => isAlive(pids[0]!), { timeout: 10_000 }).toBe(false);
      expect(isAlive(pids[1]!)).toBe(true);
      await network.close();
      expect(isAlive(pids[1]!)).toBe(false);
      expect(network.openCommand("true")).toBe(-Errno.ENETDOWN);
    });
  });

  describe("a file", () => {
    it("is read where asked", () => {
      const path = join(folder, "file");
      const data = testBytes(10_000);
      writeFileSync(path, data);
      const file = opened(network.openFile(path));
      expect(file.sizeBytes).toBe(10_000);
      const target = Buffer.alloc(512);
      expect(file.read(target, 1000)).toBe(512);
      expect(target.equals(data.subarray(1000, 1512))).toBe(true);
      expect(file.read(target, 9_900)).toBe(100);
      expect(file.read(target, 10_000)).toBe(0);
      file.close();
      file.close();
      expect(file.read(target, 0)).toBe(-Errno.EBADF);
    });

    it("that cannot be read is refused by an errno, and a pipe does not block", () => {
      expect(network.openFile(join(folder, "missing"))).toBe(-Errno.ENOENT);
      expect(network.openFile(folder)).toBe(-Errno.EACCES);
      const pipe = join(folder, "pipe");
      execFileSync("mkfifo", [pipe]);
      expect(network.openFile(pipe)).toBe(-Errno.EACCES);
    });
  });
});

/** The number that a command prints first. */
async function pidFrom(user: StreamUser): Promise<number> {
  const target = Buffer.alloc(20);
  const count = await user.receive(target);
  return Number(target.toString("latin1", 0, count));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
