/**
 * What a stack's options mean to a guest: one guest, whose card is moved from stack to stack. The card does not matter
 * here, so it is the one that is quickest to have.
 */
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { mkdtemp, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { V86Guest } from "../../src/cli/v86-guest.js";
import { createSlirp, parseNetdev, type CreateSlirpOptions, type Slirp } from "../../src/node.js";
import { attachV86 } from "../../src/v86.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { HostTcpServer } from "../support/host/tcp-server.js";
import { HostUdpEcho } from "../support/host/udp-echo.js";
import { attempt, errorText, fetchedHash, succeed } from "../support/guest-commands.js";
import { v86ImageMissing } from "../support/v86-image.js";

describe("a stack's options", () => {
  let guest: V86Guest | undefined;
  beforeAll(async () => {
    if (v86ImageMissing() === undefined) guest = await V86Guest.start({ nic: "virtio" });
  });
  afterAll(async () => {
    await guest?.stop();
  });

  /** Puts the guest on a stack of its own for a while; its network is not configured yet. */
  async function withStack(
    ctx: TestContext,
    options: CreateSlirpOptions,
    use: (guest: V86Guest, slirp: Slirp) => Promise<void>,
  ): Promise<void> {
    const reason = v86ImageMissing();
    if (reason !== undefined) ctx.skip(reason);
    if (!guest) throw new Error("the guest was not started");
    await using slirp = await createSlirp(options);
    const attachment = attachV86(guest.emulator, slirp, { nic: "virtio" });
    try {
      await use(guest, slirp);
    } finally {
      attachment.detach();
    }
  }

  it("tell the guest its names, networks and boot server, in the words of QEMU's -netdev", async (ctx) => {
    const netdev = [
      "user,net=192.168.76.0/24,dhcpstart=192.168.76.30,hostname=vm,domainname=example.org",
      "dnssearch=a.example.org,dnssearch=b.example.org,bootfile=boot.bin,tftp-server-name=boot.test",
      "ipv6-net=fd00:1::/64",
    ].join(",");
    await withStack(ctx, { slirp: parseNetdev(netdev) }, async (guest) => {
      const network = await guest.configureNetwork({ ipv6TimeoutMs: 60_000 });
      expect(network).toMatchObject({
        address: "192.168.76.30",
        prefixLength: 24,
        gateway: "192.168.76.2",
        nameservers: ["192.168.76.3"],
        hostname: "vm",
        domain: "example.org",
        searchDomains: ["a.example.org", "b.example.org"],
        bootFile: "boot.bin",
        tftpServer: "boot.test",
      });
      expect(network.ipv6Addresses.map(({ address }) => address)).toEqual([
        expect.stringMatching(/^fd00:1::/),
      ]);
    });
  });

  it("let a guest that asks over IPv4 have a resolver that has only ::1", async (ctx) => {
    await using resolver = await DnsResolver.start("::1", { "six.test": { a: "192.0.2.66" } });
    const options = { hostNetwork: { dnsServers: [resolver.server] } };
    await withStack(ctx, options, async (guest) => {
      await guest.configureNetwork();
      expect(await succeed(guest, "nslookup -type=a six.test 10.0.2.3")).toContain("192.0.2.66");
      expect(resolver.asked("six.test", "udp").length).toBeGreaterThan(0);
    });
  });

  it("restricted: nothing goes out, forwards still lead in and out", async (ctx) => {
    await using web = await HostHttpServer.start();
    await using echo = await HostUdpEcho.start("127.0.0.1");
    const netdev =
      "user,restrict=on,hostfwd=tcp:127.0.0.1:0-:80," +
      `guestfwd=tcp:10.0.2.100:80-tcp:127.0.0.1:${String(web.port)}`;
    await withStack(ctx, { slirp: parseNetdev(netdev) }, async (guest, slirp) => {
      const network = await guest.configureNetwork();
      expect(network).toMatchObject({ address: "10.0.2.15", gateway: undefined, nameservers: [] });
      const tcp = await attempt(guest, `nc.openbsd -w 3 10.0.2.2 ${String(web.port)} </dev/null`);
      expect(tcp.status).not.toBe(0);
      await attempt(guest, `echo hi | nc.openbsd -u -w 2 10.0.2.2 ${String(echo.port)}`);
      expect(web.requests).toEqual([]);
      expect(echo.lengths).toEqual([]);

      const file = web.randomFile("allowed", 100_000);
      expect(await fetchedHash(guest, `http://10.0.2.100${file.path}`)).toBe(file.sha256);
      await succeed(guest, "echo inside >/var/www/page; httpd -p 80 -h /var/www");
      try {
        expect(await fetchText(slirp)).toBe("inside\n");
      } finally {
        await succeed(guest, "killall httpd");
      }
    });
  });

  it("disableHostLoopback: the host's loopback cannot be reached by the gateway", async (ctx) => {
    await using web = await HostTcpServer.start("127.0.0.1", (socket) => socket.end("seen"));
    await using web6 = await HostTcpServer.start("::1", (socket) => socket.end("seen"));
    await withStack(ctx, { slirp: { disableHostLoopback: true } }, async (guest) => {
      await guest.configureNetwork({ ipv6TimeoutMs: 60_000 });
      for (const [gateway, { port }] of [
        ["10.0.2.2", web],
        ["fec0::2", web6],
      ] as const) {
        const tried = await attempt(
          guest,
          `nc.openbsd -v -w 60 ${gateway} ${String(port)} </dev/null`,
        );
        expect(tried.status).not.toBe(0);
        expect(errorText(tried)).toMatch(/refused|unreachable/);
      }
      expect(web.connectionCount + web6.connectionCount).toBe(0);
    });
  });

  it("guestfwd: addresses of the guest's network lead to TCP and unix servers of the host", async (ctx) => {
    const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-guestfwd-"));
    const path = join(folder, "server");
    try {
      await using tcp = await HostTcpServer.start("127.0.0.1", (socket) => socket.end("by TCP"));
      await using unix = await HostTcpServer.start({ path }, (socket) => socket.end("by unix"));
      const netdev =
        `user,guestfwd=tcp:10.0.2.100:7-tcp:127.0.0.1:${String(tcp.port)},` +
        `guestfwd=tcp:10.0.2.101:7-unix:${path}`;
      await withStack(ctx, { slirp: parseNetdev(netdev) }, async (guest) => {
        await guest.configureNetwork();
        // Anew for each connection.
        for (let times = 0; times < 2; times++) {
          expect(await succeed(guest, "nc 10.0.2.100 7 </dev/null")).toBe("by TCP");
          expect(await succeed(guest, "nc 10.0.2.101 7 </dev/null")).toBe("by unix");
        }
        expect([tcp.connectionCount, unix.connectionCount]).toEqual([2, 2]);
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** Fetches /page through the stack's first forward. */
async function fetchText(slirp: Slirp): Promise<string> {
  const host = slirp.forwards()[0]?.host;
  if (!host || host.family === "unix") throw new Error("there is no forward of a port");
  const request = get({ host: host.address, port: host.port, path: "/page", agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}
