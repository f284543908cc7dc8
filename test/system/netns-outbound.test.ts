/**
 * `--outbound-addr` and `--outbound-addr6`: which address the guest's connections and datagrams leave from. The host is a namespace of the
 * test's, with an interface that has addresses of its own.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { killChild } from "../support/kill-child.js";
import { NetnsProcess, OURS, PROGRAMS, waitForIpv6 } from "../support/netns-program.js";
import { NetworkNamespace } from "../support/network-namespace.js";

const PORT = 7000;
/** Where the guest finds the host's loopback. */
const GATEWAYS = { 4: "10.0.2.2", 6: "fd00::2" } as const;
/** Of the interface. */
const ADDRESSES = { 4: "192.0.2.7", 6: "2001:db8::7" } as const;

/** Tells everybody at TCP and UDP the address that he is seen at. */
const MIRROR = `
  import { createServer } from "node:net";
  import { createSocket } from "node:dgram";
  createServer((socket) => socket.end(socket.remoteAddress)).listen(${PORT}, "::", () => {
    const udp = createSocket("udp6");
    udp.on("message", (_bytes, { port, address }) => udp.send(address, port, address));
    udp.bind(${PORT}, "::", () => console.log("ready"));
  });`;

/** What the mirror says over TCP and UDP. */
const look = (host: string): string => `
  import { connect } from "node:net";
  import { createSocket } from "node:dgram";
  let seen = "";
  for await (const chunk of connect(${PORT}, "${host}").setEncoding("utf8")) seen += chunk;
  console.log(seen);
  const udp = createSocket("${host.includes(":") ? "udp6" : "udp4"}");
  udp.on("message", (bytes) => { console.log(String(bytes)); process.exit(); });
  const ask = () => udp.send("who am I?", ${PORT}, "${host}");
  ask();
  setInterval(ask, 2000);`;

describe.skipIf(WHY_NO_NAMESPACES !== undefined)(
  "a namespace with an address to leave from",
  () => {
    let host: NetworkNamespace;
    let guest: GuestNamespace;
    const opened: { close(): Promise<void> }[] = [];

    beforeEach(async () => {
      host = await NetworkNamespace.create();
      opened.push(host);
      guest = await GuestNamespace.create();
      opened.push(guest);
      await host.ip(`address add 127.0.0.5/32 dev lo
      address add fd77::5/128 dev lo
      link add out0 type veth peer name far
      link set out0 up
      link set far up
      address add ${ADDRESSES[4]}/24 dev out0`);
      await host.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/out0/disable_ipv6");
      await host.ip(`address add ${ADDRESSES[6]}/64 dev out0 nodad`);
      const mirror = host.spawn([process.execPath, "--input-type=module", "-e", MIRROR]);
      opened.push({ close: () => killChild(mirror) });
      await once(createInterface(mirror.stdout!), "line");
    });

    afterEach(async () => {
      for (const each of opened.splice(0).reverse()) await each.close();
    });

    /** What the mirror has seen, over TCP and UDP. */
    async function seenAt(place: string): Promise<string[]> {
      const lines = (await guest.runScript(look(place))).trim().split("\n");
      return lines.map((line) => line.replace(/^::ffff:/, ""));
    }

    async function start(program: (typeof PROGRAMS)[number], ...words: string[]): Promise<void> {
      const line = ["--configure", "--enable-ipv6", ...words, String(guest.pid), "tap0"];
      const process = await NetnsProcess.start(program, line, {
        wrap: (all) => host.command(...all).flat(),
      });
      opened.push({ close: () => process.stop() });
      await waitForIpv6(guest);
    }

    it("is seen at it by both protocols and both versions of IP", async () => {
      await start(OURS, "--outbound-addr=127.0.0.5", "--outbound-addr6=fd77::5");
      expect(await seenAt(GATEWAYS[4])).toEqual(["127.0.0.5", "127.0.0.5"]);
      expect(await seenAt(GATEWAYS[6])).toEqual(["fd77::5", "fd77::5"]);
    });

    it.each(PROGRAMS)(
      "is seen at those of the interface that it names ($name)",
      async (program) => {
        await start(program, "--outbound-addr=out0", "--outbound-addr6=out0");
        expect(await seenAt(ADDRESSES[4])).toEqual([ADDRESSES[4], ADDRESSES[4]]);
        expect(await seenAt(ADDRESSES[6])).toEqual([ADDRESSES[6], ADDRESSES[6]]);
        expect(await seenAt(GATEWAYS[6])).toEqual([ADDRESSES[6], ADDRESSES[6]]);
      },
    );

    it("is seen at the system's choice where none is named", async () => {
      await start(OURS);
      expect(await seenAt(GATEWAYS[4])).toEqual(["127.0.0.1", "127.0.0.1"]);
      expect(await seenAt(GATEWAYS[6])).toEqual(["::1", "::1"]);
    });

    it.each(["--outbound-addr=nothing0", "--outbound-addr6=nothing0"])(
      "is refused by %s, which names no interface",
      async (word) => {
        const process = new NetnsProcess(OURS, [word, String(guest.pid), "tap0"]);
        const { status, errorOutput } = await process.ended();
        expect(status).toBe(1);
        expect(errorOutput).toMatch(
          /^outbound-addr6? has to be valid ipv[46] address or interface name\./,
        );
      },
    );
  },
);
