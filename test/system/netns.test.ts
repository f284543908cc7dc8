/**
 * `slirp-wasm netns` under the name slirp4netns, with the kernel's own TCP as guest; and Debian's slirp4netns by the same tests, so that
 * both are known to do the same.
 */
import { createHash } from "node:crypto";
import { statSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { findFreePort } from "../support/free-port.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { type GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import {
  askApi,
  NetnsProcess,
  PROGRAMS,
  waitForIpv6,
  type StartOptions,
} from "../support/netns-program.js";
import { useNetnsWorld } from "../support/use-netns-world.js";

const MEBIBYTE = 2 ** 20;
const GATEWAY = "10.0.2.2";

interface LinkInfo {
  readonly mtu: number;
  readonly address: string;
  readonly operstate: string;
  readonly flags: readonly string[];
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

describe.skipIf(WHY_NO_NAMESPACES !== undefined).each(PROGRAMS)(
  "a namespace by $name",
  (program) => {
    const world = useNetnsWorld();
    let guest: GuestNamespace;
    let folder: string;

    beforeEach(() => {
      ({ guest, folder } = world());
    });

    /** Starts the program for the guest, up and with an address. */
    const start = (words: readonly string[] = [], options?: StartOptions): Promise<NetnsProcess> =>
      world().startFor(program, ["--configure", ...words], options);

    /** SHA-256 of what curl gets. */
    async function fetchSha256(url: string): Promise<string> {
      const path = join(folder, "body");
      await guest.run("curl", "-sS", "--globoff", "--max-time", "60", "-o", path, url);
      return (await guest.run("sha256sum", path)).slice(0, 64);
    }

    it.each([1500, 65_520, 65_521])("fetches and sends bodies whole at MTU %d", async (mtu) => {
      await using server = await HostHttpServer.start();
      await start([`--mtu=${String(mtu)}`]);
      const base = `http://${GATEWAY}:${String(server.port)}`;
      const file = server.randomFile("netns", 16 * MEBIBYTE);
      expect(await fetchSha256(base + file.path)).toBe(file.sha256);
      const body = Buffer.alloc(8 * MEBIBYTE, "slirp");
      const path = join(folder, "upload");
      writeFileSync(path, body);
      const answer = await guest.run("curl", "-sS", "--max-time", "60", "-T", path, `${base}/up`);
      const hash = createHash("sha256").update(body).digest("hex");
      expect(answer).toBe(`${String(body.length)} ${hash}\n`);
    });

    it("brings up loopback and TAP with address, route, MTU and MAC", async () => {
      const mac = "02:00:00:12:34:56";
      await start(["--cidr=10.77.0.0/16", "--mtu=9000", `--macaddress=${mac}`]);
      const [tap] = await guest.ip<LinkInfo[]>("address", "show", "tap0");
      expect(tap).toMatchObject({ mtu: 9000, address: mac });
      expect(tap?.flags).toEqual(expect.arrayContaining(["UP", "LOWER_UP"]));
      expect(tap?.addr_info[0]).toMatchObject({
        local: "10.77.0.100",
        prefixlen: 16,
        broadcast: "10.77.255.255",
      });
      const [loopback] = await guest.ip<LinkInfo[]>("address", "show", "lo");
      expect(loopback?.flags).toContain("UP");
      const routes = await guest.ip<object[]>("route");
      expect(routes).toContainEqual(
        expect.objectContaining({ dst: "default", gateway: "10.77.0.2" }),
      );
    });

    it("leaves an interface alone that is not to be configured", async () => {
      await world().start(program, [String(guest.pid), "tap7"]);
      const [tap] = await guest.ip<LinkInfo[]>("address", "show", "tap7");
      expect(tap?.addr_info).toEqual([]);
      expect(tap?.flags).not.toContain("UP");
    });

    it("reaches a network of another address", async () => {
      await using server = await HostHttpServer.start();
      await start(["--cidr=192.168.40.0/24"]);
      const file = server.randomFile("other", 1000);
      expect(await fetchSha256(`http://192.168.40.2:${String(server.port)}${file.path}`)).toBe(
        file.sha256,
      );
    });

    it("tells the guest at once that a port is closed", async () => {
      await start();
      const port = String(await findFreePort());
      // 7: could not connect. Not 28, which is curl's word for a time that ran out.
      expect(
        await guest.status("curl", "-s", "--max-time", "30", `http://${GATEWAY}:${port}/`),
      ).toBe(7);
    });

    describe("its API", () => {
      it("opens TCP and UDP ports to the guest, lists and closes them", async () => {
        const api = join(folder, "api.sock");
        await start([`--api-socket=${api}`]);
        expect(statSync(api).mode & 0o022).toBe(0);
        const echo = guest.spawn(
          process.execPath,
          "--input-type=module",
          "-e",
          `
        import { createServer } from "node:net";
        import { createSocket } from "node:dgram";
        createServer((socket) => socket.pipe(socket)).listen(80, "10.0.2.100");
        const udp = createSocket("udp4");
        udp.on("message", (bytes, { port, address }) => udp.send(bytes, port, address));
        udp.bind(81, "10.0.2.100", () => console.log("ready"));`,
        );
        try {
          await once(echo.stdout!, "data");
          const [tcpPort, udpPort] = [await findFreePort(), await findFreePort()];
          const tcp = { proto: "tcp", host_addr: "127.0.0.1", host_port: tcpPort, guest_port: 80 };
          const udp = { proto: "udp", host_addr: "127.0.0.1", host_port: udpPort, guest_port: 81 };
          for (const [i, rule] of [tcp, { ...udp, guest_addr: "10.0.2.100" }].entries()) {
            const answer = await askApi(api, { execute: "add_hostfwd", arguments: rule });
            expect(answer).toEqual({ return: { id: i + 1 } });
          }
          expect(await echoTcp(tcpPort)).toBe("through the port");
          expect(await echoUdp(udpPort)).toBe("a datagram");
          expect(await askApi(api, { execute: "list_hostfwd" })).toMatchObject({
            entries: [
              { id: 1, ...tcp, guest_addr: "10.0.2.100" },
              { id: 2, ...udp, guest_addr: "10.0.2.100" },
            ],
          });
          const remove = { execute: "remove_hostfwd", arguments: { id: 1 } };
          expect(await askApi(api, remove)).toEqual({ return: {} });
          await expect(echoTcp(tcpPort)).rejects.toThrow(/ECONNREFUSED/);
        } finally {
          echo.kill("SIGKILL");
        }
      });
    });

    it("carries IPv6 where it is enabled", async () => {
      await using server = await HostHttpServer.start("::1");
      await start(["--enable-ipv6"]);
      const file = server.randomFile("six", MEBIBYTE);
      const url = `http://[fd00::2]:${String(server.port)}${file.path}`;
      await waitForIpv6(guest);
      expect(await fetchSha256(url)).toBe(file.sha256);
    });

    it("ends with status 0 when the exit descriptor is closed, and takes the interface along", async () => {
      const process = await start();
      process.hangUp();
      const { status, errorOutput } = await process.ended();
      expect(status).toBe(0);
      expect(errorOutput).toContain("exitfd event");
      expect(await guest.status("ip", "link", "show", "tap0")).not.toBe(0);
    });

    it("takes an exit descriptor that is not open for one that is closed", async () => {
      const words = ["--configure", "--exit-fd=99", String(guest.pid), "tap0"];
      await using process = new NetnsProcess(program, words);
      const { status, errorOutput } = await process.ended();
      expect(status).toBe(0);
      expect(errorOutput).toContain("exitfd event");
    });

    it.each(["SIGTERM", "SIGINT"] as const)("dies of %s", async (signal) => {
      const process = await start();
      process.child.kill(signal);
      expect(await process.ended()).toMatchObject({ status: null, signal });
      expect(await guest.status("ip", "link", "show", "tap0")).not.toBe(0);
    });

    it("goes on when the process that it was given ends, until it is told to end", async () => {
      const process = await start();
      await guest.close();
      process.hangUp();
      expect((await process.ended()).status).toBe(0);
    });

    it("finds the namespace by path", async () => {
      await using server = await HostHttpServer.start();
      const words = ["--configure", "--netns-type=path", guest.path("net"), "tap0"];
      await world().start(program, words);
      const file = server.randomFile("path", 1000);
      expect(await fetchSha256(`http://${GATEWAY}:${String(server.port)}${file.path}`)).toBe(
        file.sha256,
      );
    });
  },
);

async function echoTcp(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end("through the port");
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += String(chunk);
  return text;
}

async function echoUdp(port: number): Promise<string> {
  const socket = createSocket("udp4");
  try {
    socket.send("a datagram", port, "127.0.0.1");
    const [bytes] = (await once(socket, "message")) as [Buffer];
    return bytes.toString();
  } finally {
    socket.close();
  }
}
