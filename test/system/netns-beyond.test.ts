/**
 * What `slirp-wasm netns` does that Debian's slirp4netns does not: ports of IPv6, bad requests survived.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { findFreePort } from "../support/free-port.js";
import { type GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { askApi, NetnsProcess, OURS } from "../support/netns-program.js";
import { useNetnsWorld } from "../support/use-netns-world.js";
import { waitUntil } from "../support/wait-until.js";

const ECHO = `
  import { createServer } from "node:net";
  import { createSocket } from "node:dgram";
  createServer((socket) => socket.pipe(socket)).listen(80, "::");
  const udp = createSocket("udp6");
  udp.on("message", (bytes, { port, address }) => udp.send(bytes, port, address));
  udp.bind(81, "::", () => console.log("ready"));`;

async function echoTcp(host: string, port: number): Promise<string> {
  const socket = connect(port, host);
  socket.end(host);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += String(chunk);
  return text;
}

async function echoUdp(host: string, port: number): Promise<string> {
  const socket = createSocket("udp6");
  try {
    socket.send(host, port, host);
    const [bytes] = (await once(socket, "message")) as [Buffer];
    return bytes.toString();
  } finally {
    socket.close();
  }
}

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("slirp-wasm netns", () => {
  const world = useNetnsWorld();
  let folder: string;
  let guest: GuestNamespace;

  beforeEach(() => {
    ({ guest, folder } = world());
  });

  it("opens ports of IPv6 to the guest, of TCP and UDP, and to its IPv4", async () => {
    const api = join(folder, "api.sock");
    const words = ["-c", "-6", "--api-socket", api, String(guest.pid), "tap0"];
    await using process = await NetnsProcess.start(OURS, words);
    const echo = guest.spawn(globalThis.process.execPath, "--input-type=module", "-e", ECHO);
    try {
      await once(echo.stdout!, "data");
      const open = async (rule: object): Promise<number> => {
        const port = await findFreePort("::1");
        const args = { host_addr: "::1", host_port: port, ...rule };
        const answer = await askApi(api, { execute: "add_hostfwd", arguments: args });
        expect(answer).toHaveProperty("return.id");
        return port;
      };
      const ports = [
        await open({ proto: "tcp6", guest_port: 80 }),
        await open({ proto: "tcp", guest_addr: "fd00::100", guest_port: 80 }),
        await open({ proto: "tcp", guest_port: 80 }),
      ];
      for (const port of ports) expect(await echoTcp("::1", port)).toBe("::1");
      expect(await echoUdp("::1", await open({ proto: "udp6", guest_port: 81 }))).toBe("::1");
      expect(process.errorOutput).not.toMatch(/Error/);
    } finally {
      echo.kill("SIGKILL");
    }
  });

  it("leaves descriptors alone that are Node's own, should the caller name them", async () => {
    const list = "console.log(fs.readdirSync('/proc/self/fd').join(' '))";
    const listed = execFileSync(globalThis.process.execPath, ["-e", list], { encoding: "utf8" });
    const internal = listed
      .trim()
      .split(" ")
      .map(Number)
      .filter((fd) => fd > 4);
    expect(internal.length).toBeGreaterThan(0);
    const api = join(folder, "api.sock");
    for (const fd of internal) {
      const words = ["-c", "-r", String(fd), "-a", api, String(guest.pid), "tap0"];
      await using process = new NetnsProcess(OURS, words);
      await waitUntil(`it serves with -r ${String(fd)}`, () => existsSync(api));
      expect(await askApi(api, { execute: "list_hostfwd" })).toHaveProperty("return");
      process.child.kill("SIGTERM");
      expect((await process.ended()).signal).toBe("SIGTERM");
    }
  });

  it("survives requests that end slirp4netns, and goes on to open ports", async () => {
    const api = join(folder, "api.sock");
    const words = ["-c", "--api-socket", api, String(guest.pid), "tap0"];
    await using process = await NetnsProcess.start(OURS, words);
    for (const request of [
      { execute: "add_hostfwd", arguments: { host_port: 1, guest_port: 1 } },
      { execute: "add_hostfwd" },
      "\0\uffff",
      "[".repeat(4000),
    ]) {
      expect(await askApi(api, request)).toHaveProperty("error.desc");
    }
    const port = await findFreePort("127.0.0.1");
    const rule = { proto: "tcp", host_port: port, guest_port: 80 };
    const answer = await askApi(api, { execute: "add_hostfwd", arguments: rule });
    expect(answer).toEqual({ return: { id: 1 } });
    expect(process.child.exitCode).toBeNull();
  });

  it.each(["", "--enable-sandbox"])(
    "ends with an error when the interface is deleted %s",
    async (word) => {
      const words = ["-c", ...(word === "" ? [] : [word]), String(guest.pid), "tap0"];
      await using process = await NetnsProcess.start(OURS, words);
      await guest.run("ip", "link", "delete", "tap0");
      const { status, errorOutput } = await process.ended();
      expect(status).toBe(1);
      expect(errorOutput).toContain("tap:tap0");
    },
  );
});
