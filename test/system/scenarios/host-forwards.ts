/** Inwards: ports and sockets of the host that lead to servers in the guest. */
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, type TestContext } from "vitest";
import { formatHostForward, type HostForward } from "../../../src/node.js";
import { makeRandomFile, succeed } from "../../support/guest-commands.js";
import type { Rig } from "../../support/rig.js";
import { waitUntil } from "../../support/wait-until.js";

const FILE_BYTES = 4 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 60_000;

export function describeHostForwards(rigOf: (ctx: TestContext) => Rig): void {
  it("leads connections to the guest's web server, from IPv4, IPv6 and unix sockets", async (ctx) => {
    const { guest, slirp } = rigOf(ctx);
    const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-forward-"));
    const rules = [
      "tcp:127.0.0.1:0-:80",
      "tcp:[::1]:0-:80",
      "tcp:[::1]:0-[]:80",
      `unix:${join(folder, "web")}-:80`,
    ];
    const forwards = await Promise.all(rules.map((rule) => slirp.addForward(rule)));
    try {
      const sha256 = await makeRandomFile(guest, "/var/www/file", FILE_BYTES);
      await succeed(guest, "httpd -p 80 -h /var/www");
      const hashes = await Promise.all(forwards.map((forward) => fetchHash(forward)));
      expect(hashes).toEqual(forwards.map(() => sha256));
    } finally {
      await succeed(guest, "killall httpd; rm -f /var/www/file");
      for (const forward of forwards) slirp.removeForward(forward);
      await rm(folder, { recursive: true });
    }
  });

  it("closes the port of a forward that is removed, and reports the rules in force", async (ctx) => {
    const { slirp } = rigOf(ctx);
    const forward = await slirp.addForward("tcp:127.0.0.1:0-:81");
    const { host } = forward;
    if (host.family === "unix") throw new Error("not a port");
    expect(host.port).toBeGreaterThan(0);
    expect(slirp.forwards().map(formatHostForward)).toContain(
      `tcp:127.0.0.1:${String(host.port)}-:81`,
    );
    slirp.removeForward(forward);
    expect(slirp.forwards()).not.toContainEqual(forward);
    await expect(connectAndEnd(host.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("leads datagrams to the guest, and its answers back", async (ctx) => {
    const { guest, slirp } = rigOf(ctx);
    const forward = await slirp.addForward("udp:127.0.0.1:0-:7000");
    try {
      const server = succeed(guest, "printf answer | nc.openbsd -4 -u -l -W 1 -w 60 7000");
      await waitUntil("the guest listens", async () => {
        const { text } = await guest.capture("netstat -uln");
        return text.includes(":7000 ");
      });
      expect(await exchange(forward, "question")).toBe("answer");
      expect(await server).toBe("question");
    } finally {
      slirp.removeForward(forward);
    }
  });
}

async function fetchHash({ host }: HostForward): Promise<string> {
  const target =
    host.family === "unix" ? { socketPath: host.path } : { host: host.address, port: host.port };
  const request = get({ ...target, path: "/file", agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  const hash = createHash("sha256");
  for await (const chunk of response) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function connectAndEnd(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.destroy();
}

/** Sends a datagram to the forward and gives the first that comes back from it. */
async function exchange({ host }: HostForward, question: string): Promise<string> {
  if (host.family === "unix") throw new Error("datagrams have no unix socket here");
  const socket = createSocket("udp4");
  try {
    socket.connect(host.port, host.address);
    await once(socket, "connect");
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const answer = once(socket, "message", { signal });
    socket.send(question);
    const [message] = (await answer) as [Buffer];
    return message.toString();
  } finally {
    socket.close();
  }
}
