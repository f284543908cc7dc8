/**
 * Node's host network on a machine whose network is not as good as loopback: link-local addresses, no route, nobody there,
 * a slow link. The machine is a network namespace made for it, in which nothing can leave.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { ROOT } from "../house/scratch.js";
import { bundleProgram, runShell, type Ended } from "../host-network-contract/bundle-program.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

/** Addresses of RFC 5737 and link-local ones; a neighbour that is believed in but not there. A SYN is repeated
 * once. */
const SET_UP = `
  ip link set lo up
  ip link add near type veth peer name far
  ip link set near up
  ip link set far up
  ip addr add fe80::77/64 dev near nodad
  ip addr add 198.51.100.1/24 dev near
  ip route add unreachable 203.0.113.128/25
  ip neigh add 198.51.100.66 lladdr 02:00:00:00:00:66 dev near nud permanent
  echo 1 > /proc/sys/net/ipv4/tcp_syn_retries`;
/** The same with a loopback of 40 Mbit/s whose queue holds more than a socket may put into it. */
const SLOW = `${SET_UP}
  tc qdisc add dev lo root tbf rate 40mbit burst 100kb limit 20mb`;
const TIMEOUT_MS = 60_000;

/** The program is a bundle elsewhere. */
const ADDONS = join(ROOT, "prebuilds", `${process.platform}-${process.arch}`);

describe.each(["node", "native"])(
  "Node's host network, sockets %s, in a namespace of its own",
  (sockets) => {
    const folder = mkdtempSync(join(tmpdir(), "shaped-network-"));
    const program = join(folder, "child.mjs");
    let reasonToSkip: string | undefined;

    beforeAll(async () => {
      const here = dirname(fileURLToPath(import.meta.url));
      const source = `import { runTask } from "./shaped-network-child.js"; runTask(process.argv[2], process.argv[3]);`;
      await bundleProgram(source, here, program);
      const tried = await runShell(`unshare -n sh -e -c '${SLOW}'`);
      if (tried.code !== 0) reasonToSkip = `no network namespace to be had: ${tried.output}`;
    });

    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    const run = async (context: TestContext, task: string, setUp = SET_UP): Promise<Ended> => {
      if (reasonToSkip !== undefined) context.skip(reasonToSkip);
      const missing = sockets === "native" ? whyNoNativeSockets() : undefined;
      if (missing !== undefined) context.skip(missing);
      const command = `unshare -n sh -e -c '${setUp}; exec "$0" "$1" "$2" "$3"' "$0" "$1" "$2" "$3"`;
      const withAddons = `SLIRP_WASM_ADDONS='${ADDONS}' ${command}`;
      return runShell(withAddons, process.execPath, program, task, sockets);
    };

    it(
      "uses link-local addresses with their zone, TCP and UDP",
      async (context) => {
        const output = "tcp fe80::77%near tcp fe80::77%near udp fe80::77%near";
        expect(await run(context, "zones")).toEqual({ code: 0, output });
      },
      TIMEOUT_MS,
    );

    it(
      "tells no route, nobody there and no answer apart",
      async (context) => {
        const output = "ENETUNREACH EHOSTUNREACH ETIMEDOUT";
        expect(await run(context, "unreachable")).toEqual({ code: 0, output });
      },
      TIMEOUT_MS,
    );

    it(
      "tells of a datagram that has no route, before the next one is read",
      async (context) => {
        const output = sockets === "node" ? "1 ENETUNREACH EAGAIN" : "ENETUNREACH EAGAIN EAGAIN";
        expect(await run(context, "datagram-unreachable")).toEqual({ code: 0, output });
      },
      TIMEOUT_MS,
    );

    it(
      "tells of a datagram that found nobody, where the sockets can",
      async (context) => {
        if (sockets === "node") context.skip("dgram does not tell");
        const output = "EHOSTUNREACH EAGAIN";
        expect(await run(context, "datagram-nobody-there")).toEqual({ code: 0, output });
      },
      TIMEOUT_MS,
    );

    it(
      "pings where the system lets it, and says where not",
      async (context) => {
        const allowed = `${SET_UP}\necho 0 0 > /proc/sys/net/ipv4/ping_group_range`;
        if (sockets === "node") context.skip("Node has no ICMP sockets");
        const output = "0 ping 127.0.0.1 129 ping ::1";
        expect(await run(context, "echo", allowed)).toEqual({ code: 0, output });
        expect(await run(context, "echo-forbidden")).toEqual({ code: 0, output: "EPERM" });
      },
      TIMEOUT_MS,
    );

    it(
      "makes the stack wait with datagrams for a slow link, and mixes none up",
      async (context) => {
        const output = "waited, and 1200 datagrams came unchanged and in order";
        expect(await run(context, "slow-datagrams", SLOW)).toEqual({ code: 0, output });
      },
      TIMEOUT_MS,
    );

    it(
      "still sends the datagrams that were taken before close",
      async (context) => {
        expect(await run(context, "close-datagrams", SLOW)).toEqual({
          code: 0,
          output: "all that was taken came",
        });
      },
      TIMEOUT_MS,
    );
  },
);
