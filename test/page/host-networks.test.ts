/**
 * Guests in a real browser on the host networks that are not Wisp: a page without a relay, which has a browser's `fetch` with all that it
 * forbids and hides, and a wsproxy relay.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gzipSync } from "node:zlib";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { attempt, errorText, fetchedHash, succeed } from "../support/guest-commands.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { DohServer } from "../support/host/doh-server.js";
import { WebSite } from "../support/host/web-site.js";
import { pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";
import { shareRig } from "../support/rig.js";

const peers = new PeerKit();
const closing: (() => unknown)[] = [];

afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await peers.close();
});

/** A site that pages of other origins may read, or not. */
class OtherOrigin {
  readonly body = Buffer.alloc(3_000_000, "some text that compresses well. ");
  readonly #server: Server;

  static async start(): Promise<OtherOrigin> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new OtherOrigin(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    server.on("request", (request, response) => {
      if (request.url !== "/closed") response.setHeader("Access-Control-Allow-Origin", "*");
      if (request.url === "/echo") {
        request.pipe(response);
      } else {
        const packed = gzipSync(this.body);
        response.writeHead(200, { "Content-Encoding": "gzip", "Content-Length": packed.length });
        response.end(packed);
      }
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
}

describe("a guest in a page without a relay", () => {
  let other: OtherOrigin;
  let doh: DohServer;
  beforeAll(async () => {
    other = await OtherOrigin.start();
    const resolver = await DnsResolver.start("127.0.0.1", {
      "looked-up.test": { a: "192.0.2.17" },
    });
    doh = await DohServer.start(resolver.server);
    closing.push(() => resolver[Symbol.asyncDispose]());
    closing.push(() => doh[Symbol.asyncDispose]());
  });
  const rigOf = shareRig<PageRig>(pageRigMissing, async () => {
    const http = { ports: [80, other.port] };
    const rig = await startPageRig({ slirp: { relay: undefined, http } });
    await rig.guest.configureNetwork();
    return rig;
  });
  const url = (path: string): string => `http://10.0.2.2:${String(other.port)}${path}`;

  it("fetches what other origins allow, compressed on the way or not", async (ctx) => {
    const { guest } = rigOf(ctx);
    const expected = createHash("sha256").update(other.body);
    expect(await fetchedHash(guest, url("/open"))).toBe(expected.digest("hex"));
  });

  it("sends what it has", async (ctx) => {
    const { guest } = rigOf(ctx);
    expect(await succeed(guest, `wget -qO- --post-data=hello ${url("/echo")}`)).toBe("hello");
  });

  it("is told by words what the browser does not let it read", async (ctx) => {
    const { guest } = rigOf(ctx);
    const failed = await attempt(guest, `wget -O- ${url("/closed")}`);
    expect(errorText(failed)).toContain("HTTP/1.1 502 No connection, or no permission by CORS");
  });

  it("has an address for every name", async (ctx) => {
    const { guest } = rigOf(ctx);
    expect(await succeed(guest, "nslookup any.test")).toMatch(/198\.1[89]\.\d+\.\d+/);
  });

  it("may look names up by DNS over HTTPS", async (ctx) => {
    const { open, startOptions } = rigOf(ctx);
    const slirp = { ...startOptions.slirp, dns: { doh: doh.url } };
    const guest = await open({ slirp });
    await guest.configureNetwork();
    expect(await succeed(guest, "nslookup looked-up.test")).toContain("192.0.2.17");
    const unknown = await attempt(guest, "nslookup nobody.test");
    expect(unknown.text + errorText(unknown)).toContain("NXDOMAIN");
    await guest.page.close();
  });

  it("has the same with the stack in a worker", async (ctx) => {
    const { open, startOptions } = rigOf(ctx);
    const slirp = {
      ...startOptions.slirp,
      worker: true,
      dns: { static: { "own.test": "192.0.2.9" } },
    };
    const guest = await open({ slirp });
    await guest.configureNetwork();
    expect(await succeed(guest, "nslookup own.test")).toContain("192.0.2.9");
    expect(await succeed(guest, `wget -qO- --post-data=hello ${url("/echo")}`)).toBe("hello");
    expect(guest.errors).toEqual([]);
    await guest.page.close();
  });

  it("has thrown nothing", (ctx) => {
    expect(rigOf(ctx).guest.errors).toEqual([]);
  });
});

describe("a guest in a page on a wsproxy relay", () => {
  let site: WebSite;
  const rigOf = shareRig<PageRig>(pageRigMissing, async () => {
    site = await WebSite.start();
    closing.push(() => site[Symbol.asyncDispose]());
    const rig = await startPageRig();
    await rig.guest.page.close();
    const guest = await rig.open({
      slirp: { relay: `wsproxy+${rig.relay.url}`, dns: { static: { "host.test": "10.0.2.2" } } },
    });
    await guest.configureNetwork();
    return { ...rig, guest, describe: () => guest.describe() };
  });

  it("fetches a file unchanged", async (ctx) => {
    const { guest } = rigOf(ctx);
    const url = `http://host.test:${String(site.port)}/big`;
    expect(await fetchedHash(guest, url)).toBe(site.bigHash);
  });

  it("sends a file unchanged", async (ctx) => {
    const { guest } = rigOf(ctx);
    const server = await peers.tcpServer();
    const { port } = server.endpoint as { port: number };
    let count = 0;
    const received = server.connection().then(async (socket) => {
      for await (const piece of socket) {
        count += (piece as Buffer).length;
        if (count === 3_000_000) socket.end("thanks");
      }
    });
    const command = `head -c 3000000 /dev/zero | nc.openbsd -N -w 60 10.0.2.2 ${String(port)}`;
    expect(await succeed(guest, command)).toBe("thanks");
    await received;
  });

  it("is refused where nobody listens", async (ctx) => {
    const { guest } = rigOf(ctx);
    const { port } = await peers.closedTcpEndpoint();
    const failed = await attempt(guest, `nc.openbsd -v -w 60 10.0.2.2 ${String(port)}`);
    expect(errorText(failed)).toMatch(/refused/);
  });

  it("has thrown nothing", (ctx) => {
    expect(rigOf(ctx).guest.errors).toEqual([]);
  });
});
