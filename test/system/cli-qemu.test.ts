/**
 * `slirp-wasm qemu` with QEMU itself: the options that it prints are the ones that QEMU is started with.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliProcess } from "../support/cli.js";
import { fetchedHash, hashIn, succeed } from "../support/guest-commands.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { QemuGuest, qemuMissing } from "../support/qemu-guest.js";
import { waitUntil } from "../support/wait-until.js";

const FILE_BYTES = 1024 * 1024;

describe("slirp-wasm qemu", () => {
  let folder: string;
  let cli: CliProcess | undefined;
  let guest: QemuGuest | undefined;
  const boot = randomBytes(FILE_BYTES);

  beforeAll(async () => {
    if (qemuMissing() !== undefined) return;
    folder = await mkdtemp(join(tmpdir(), "slirp-wasm-cli-qemu-"));
    await writeFile(join(folder, "boot.bin"), boot);
    cli = new CliProcess([
      "qemu",
      ...["--listen", `unix:${join(folder, "net")}`],
      ...["--netdev", `user,tftp=${folder},bootfile=boot.bin,guestfwd=tcp:10.0.2.100:7-cmd:cat`],
      ...["--hostfwd", "tcp:127.0.0.1:0-:7777"],
    ]);
    const started = cli;
    await waitUntil("QEMU's options are printed", () => started.output.endsWith("\n"));
    guest = await QemuGuest.start({ netdev: started.output.trim().split(" ") });
    await guest.configureNetwork();
  });

  afterAll(async () => {
    await guest?.stop();
    cli?.kill("SIGTERM");
    expect(await cli?.ended()).toMatchObject({ status: 0, signal: null });
    await rm(folder, { recursive: true });
  });

  function guestOf(ctx: { skip(reason: string): never }): QemuGuest {
    const reason = qemuMissing();
    if (reason !== undefined) ctx.skip(reason);
    if (!guest) throw new Error("the guest was not started");
    return guest;
  }

  it("lets the guest fetch from the host", async (ctx) => {
    const running = guestOf(ctx);
    await using server = await HostHttpServer.start();
    const file = server.randomFile("file", FILE_BYTES);
    const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
    expect(await fetchedHash(running, url)).toBe(file.sha256);
  });

  it("serves the boot file by TFTP, and nothing from outside the folder", async (ctx) => {
    const running = guestOf(ctx);
    const hash = await succeed(running, "tftp -g -r boot.bin -l - 10.0.2.2 | sha256sum");
    expect(hashIn(hash)).toBe(createHash("sha256").update(boot).digest("hex"));
    for (const path of ["../../etc/hostname", "/etc/hostname", "missing"]) {
      const answer = await running.capture(`tftp -g -r ${path} -l /tmp/out 10.0.2.2`);
      expect(answer.status, path).not.toBe(0);
    }
  });

  it("leads an address of the guest's network to a command", async (ctx) => {
    const running = guestOf(ctx);
    expect(await succeed(running, "echo there and back | nc 10.0.2.100 7")).toBe("there and back");
  });

  it("leads the forward's port into the guest", async (ctx) => {
    const running = guestOf(ctx);
    const port = Number(/forward tcp:127\.0\.0\.1:(\d+)-/.exec(cli?.errorOutput ?? "")?.[1]);
    const said = running.capture("nc -l -p 7777 </dev/null");
    await waitUntil("the guest listens", async () =>
      (await succeed(running, "netstat -ltn")).includes(":7777"),
    );
    const socket = connect(port, "127.0.0.1");
    socket.end("from the host\n");
    await text(socket);
    expect((await said).text).toBe("from the host\n");
  });
});
