/**
 * `--target-type=bess`: frames over a SOCK_SEQPACKET socket, as User Mode Linux has them. The other side is a script in Python, whose
 * standard library knows such sockets, that moves frames between the socket and a TAP in a namespace: so the guest is the kernel again.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ROOT } from "../house/scratch.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { NATIVE_FOLDER } from "../support/native-files.js";
import { NetnsProcess, OURS, PROGRAMS, type StartOptions } from "../support/netns-program.js";
import { waitUntil } from "../support/wait-until.js";

const BRIDGE = `
import fcntl, os, select, socket, struct, subprocess, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH", b"vec0", 0x1002))
for line in ("address add 10.0.2.100/24 dev vec0", "link set vec0 up", "route add default via 10.0.2.2"):
    subprocess.run(["ip", *line.split()], check=True)
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect(sys.argv[1])
print("ready", flush=True)
while True:
    for source in select.select([tap, link], [], [])[0]:
        if source == tap:
            link.send(os.read(tap, 70000))
        else:
            frame = link.recv(70000)
            if not frame: sys.exit()
            os.write(tap, frame)
`;

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("a User Mode Linux's socket", () => {
  let folder: string;
  let guest: GuestNamespace;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "bess-"));
    guest = await GuestNamespace.create();
  });

  afterEach(async () => {
    await guest.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(
    PROGRAMS.flatMap((program) => [
      { name: program.name, program, words: [] },
      {
        name: `${program.name}, confined`,
        program,
        words: ["--enable-sandbox", "--enable-seccomp"],
      },
    ]).filter(({ words, program }) => words.length === 0 || program === PROGRAMS[0]),
  )("is served by $name", async ({ program, words }) => {
    await using server = await HostHttpServer.start();
    const path = join(folder, "bess.sock");
    const starting = NetnsProcess.start(program, ["--target-type=bess", ...words, path]);
    await waitUntil("there is a socket", () => existsSync(path));
    const [command = "", ...args] = guest.command("python3", "-c", BRIDGE, path);
    const bridge = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
    try {
      await using process = await starting;
      const file = server.randomFile("bess", 2_000_000);
      const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
      const script = `curl -sS --max-time 60 ${url} | sha256sum`;
      expect((await guest.run("sh", "-c", script)).slice(0, 64)).toBe(file.sha256);
      if (program === PROGRAMS[0]) {
        expect(existsSync(path)).toBe(false);
        bridge.kill("SIGKILL");
        expect((await process.ended()).status).toBe(0);
      }
    } finally {
      bridge.kill("SIGKILL");
    }
  });

  describe("that nobody has come to", () => {
    // slirp4netns is not asked: it leaves a process there that waits on, and the exit descriptor unread.
    async function wait(
      words: readonly string[],
      options: StartOptions = {},
    ): Promise<NetnsProcess> {
      const path = join(folder, "bess.sock");
      const line = ["--target-type=bess", "--exit-fd=3", ...words, path];
      const process = new NetnsProcess(OURS, line, options);
      await waitUntil("there is a socket", () => existsSync(path));
      return process;
    }

    for (const words of [[], ["--enable-sandbox", "--enable-seccomp"]]) {
      const confined = `confined: [${words.join(" ")}]`;

      it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
        `is taken away when the program dies of %s, ${confined}`,
        async (signal) => {
          await using process = await wait(words);
          process.child.kill(signal);
          expect(await process.ended()).toMatchObject({ status: null, signal });
          expect(existsSync(join(folder, "bess.sock"))).toBe(false);
        },
      );

      it(`is taken away when the exit descriptor is closed, ${confined}`, async () => {
        await using process = await wait(words);
        process.hangUp();
        const { status, errorOutput } = await process.ended();
        expect(status).toBe(0);
        expect(errorOutput).toContain("exitfd event");
        expect(errorOutput).toContain("do_slirp is exiting");
        expect(existsSync(join(folder, "bess.sock"))).toBe(false);
      });
    }

    it("is waited at by the program in a folder of one's own, in the sandbox too", async () => {
      const own = join(folder, "own");
      cpSync(join(ROOT, NATIVE_FOLDER), own, { recursive: true });
      const wrap = (words: readonly string[]): string[] => [
        "env",
        `SLIRP_WASM_ADDONS=${own}`,
        ...words,
      ];
      await using process = await wait(["--enable-sandbox"], { wrap });
      const pid = String(process.child.pid);
      const waiting = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
      expect(readlinkSync(`/proc/${waiting}/exe`)).toBe(join(own, "netns-helper"));
    });
  });
});
