/**
 * Guests on the host networks of pages that are not Wisp: no relay at all, and a wsproxy relay. The stack runs in Node; what a browser does
 * otherwise, test/page shows.
 */
import { afterAll, describe, expect, it } from "vitest";
import { chooseHostNetwork } from "../../src/browser/choose-host-network.js";
import type { DnsQueryReport } from "../../src/browser/name-service.js";
import type { HttpRequestReport } from "../../src/browser/fetch-gateway.js";
import {
  createFetchHostNetwork,
  type RefusedConnection,
} from "../../src/browser/fetch-host-network.js";
import { ipEndpoint } from "../../src/address.js";
import { listenRelay } from "../../src/relay/listen-relay.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { nodeWebSocket as webSocket } from "../browser/make-wisp-host-network.js";
import { attempt, errorText, fetchedHash, succeed } from "../support/guest-commands.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { WebSite } from "../support/host/web-site.js";
import { shareRig, startV86Rig } from "../support/rig.js";
import { v86ImageMissing } from "../support/v86-image.js";

const closing: (() => unknown)[] = [];

afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startSite(): Promise<WebSite> {
  const site = await WebSite.start();
  closing.push(() => site[Symbol.asyncDispose]());
  return site;
}

describe("a guest without a relay", () => {
  const queries: DnsQueryReport[] = [];
  const requests: HttpRequestReport[] = [];
  const refused: RefusedConnection[] = [];
  let site: WebSite;
  const rigOf = shareRig(v86ImageMissing, async () => {
    site = await startSite();
    const hostNetwork = createFetchHostNetwork({
      // Names lead to the site, one to where nobody is.
      fetch: (input, init) => {
        const { hostname, pathname } = new URL(input as URL);
        const origin = hostname === "down.test" ? "http://127.0.0.1:1" : site.origin;
        return fetch(origin + pathname, init);
      },
      onRequest: (report) => requests.push(report),
      onRefused: (each) => refused.push(each),
      dns: { onQuery: (report) => queries.push(report) },
    });
    closing.push(() => hostNetwork.close());
    const rig = await startV86Rig("virtio", { hostNetwork });
    await rig.guest.configureNetwork();
    return rig;
  });

  it("finds an address for every name", async (ctx) => {
    const { guest } = rigOf(ctx);
    expect(await succeed(guest, "nslookup www.test")).toMatch(/198\.1[89]\.\d+\.\d+/);
    expect(await succeed(guest, "nslookup www.test 192.0.2.53")).toMatch(/198\.1[89]\.\d+\.\d+/);
    expect(queries.map(({ name, via }) => `${name} ${via}`)).toContain("www.test page");
  });

  it("fetches pages by the page's own fetch", async (ctx) => {
    const { guest } = rigOf(ctx);
    expect(await succeed(guest, "wget -qO- http://www.test/text")).toBe("hello");
    expect(await succeed(guest, "wget -qO- http://www.test/gzip")).toBe("unpacked");
    expect(await fetchedHash(guest, "http://www.test/big")).toBe(site.bigHash);
    expect(requests[0]).toMatchObject({ method: "GET", url: "http://www.test/text", status: 200 });
  });

  it("sends what it has", async (ctx) => {
    const { guest } = rigOf(ctx);
    const text = await succeed(guest, "wget -qO- --post-data=hello http://www.test/echo");
    expect(JSON.parse(text)).toMatchObject({ method: "POST", bytes: 5 });
  });

  it("is told why something cannot be fetched", async (ctx) => {
    const { guest } = rigOf(ctx);
    const failed = await attempt(guest, "wget -O- http://down.test/");
    expect(errorText(failed)).toContain("HTTP/1.1 502 Unreachable");
  });

  it("is refused what is no HTTP, at once", async (ctx) => {
    const { guest } = rigOf(ctx);
    const failed = await attempt(guest, "nc.openbsd -4 -v -w 60 www.test 443");
    expect(errorText(failed)).toMatch(/refused/);
    expect(refused.at(-1)?.hint).toContain("www.test:443 is TLS");
  });

  it("takes the page's time for a server's", async (ctx) => {
    const { guest } = rigOf(ctx);
    // A client's message (RFC 4330) by hand: the guest has no program for it.
    const query = "(printf '\\043'; head -c 47 /dev/zero)";
    const command = `${query} | nc.openbsd -4 -u -w 3 192.0.2.123 123 | hexdump -ve '1/1 "%02x"'`;
    const answer = Buffer.from(await succeed(guest, command), "hex");
    expect(answer[0]).toBe(0x24);
    const seconds = answer.readUInt32BE(40) - 2_208_988_800;
    expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(120);
  });
});

describe("a guest on a wsproxy relay", () => {
  let site: WebSite;
  const peers = new PeerKit();
  closing.push(() => peers.close());
  const rigOf = shareRig(v86ImageMissing, async () => {
    site = await startSite();
    const relay = await listenRelay({ allow: ["127.0.0.0/8"] });
    closing.push(() => relay.close(0));
    const resolver = await DnsResolver.start("127.0.0.1", { "host.test": { a: "10.0.2.2" } });
    closing.push(() => resolver[Symbol.asyncDispose]());
    const port = Number(resolver.server.slice(resolver.server.lastIndexOf(":") + 1));
    const hostNetwork = await chooseHostNetwork({
      relay: `wsproxy+${relay.url}`,
      wsproxy: { webSocket },
      dns: { tcp: ipEndpoint("127.0.0.1", port) },
    });
    closing.push(() => hostNetwork.close());
    const rig = await startV86Rig("virtio", { hostNetwork });
    await rig.guest.configureNetwork();
    return rig;
  });

  it("asks for names by TCP, not knowing it, and fetches a file unchanged", async (ctx) => {
    const { guest } = rigOf(ctx);
    const url = `http://host.test:${String(site.port)}/big`;
    expect(await fetchedHash(guest, url)).toBe(site.bigHash);
    expect(await succeed(guest, "nslookup host.test")).toContain("10.0.2.2");
  });

  it("sends a file unchanged, and has the answer after its FIN", async (ctx) => {
    const { guest } = rigOf(ctx);
    const server = await peers.tcpServer();
    const { port } = server.endpoint as { port: number };
    const answered = server.connection().then(async (socket) => {
      let count = 0;
      for await (const piece of socket) {
        count += (piece as Buffer).length;
        if (count === 3_000_000) socket.end("thanks");
      }
    });
    const command = `head -c 3000000 /dev/zero | nc.openbsd -N -w 60 10.0.2.2 ${String(port)}`;
    expect(await succeed(guest, command)).toBe("thanks");
    await answered;
  });

  it("is refused where nobody listens", async (ctx) => {
    const { guest } = rigOf(ctx);
    const { port } = await peers.closedTcpEndpoint();
    const failed = await attempt(guest, `nc.openbsd -v -w 60 10.0.2.2 ${String(port)}`);
    expect(errorText(failed)).toMatch(/refused/);
  });

  it("is told at once that there is no UDP", async (ctx) => {
    const { guest } = rigOf(ctx);
    const failed = await attempt(guest, "nslookup host.test 192.0.2.53");
    expect(failed.status).not.toBe(0);
  });
});
