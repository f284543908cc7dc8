/**
 * The API of `slirp-wasm netns`: its answers, on a table that only remembers, and its socket, with clients that behave in every way.
 */
import { mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ipAddress } from "../../src/address.js";
import { ApiRequests } from "../../src/cli/netns/api-requests.js";
import { ApiServer } from "../../src/cli/netns/api-server.js";
import { formatHostForward, type HostForward } from "../../src/slirp-options.js";
import { askApi } from "../support/netns-program.js";

/** Refuses port 9. */
class Table {
  readonly rules: string[] = [];

  addForward(forward: HostForward): Promise<HostForward> {
    const text = formatHostForward(forward);
    if (text.includes(":9-")) return Promise.reject(new Error(`forward ${text}: EADDRINUSE`));
    this.rules.push(text);
    return Promise.resolve(forward);
  }

  removeForward(forward: HostForward): void {
    this.rules.splice(this.rules.indexOf(formatHostForward(forward)), 1);
  }
}

let table: Table;
let requests: ApiRequests;

beforeEach(() => {
  table = new Table();
  requests = new ApiRequests(table, {
    ipv4: ipAddress("10.0.2.100"),
    ipv6: ipAddress("fd00::100"),
  });
});

const add = (args: object): Promise<object> =>
  requests.answer(JSON.stringify({ execute: "add_hostfwd", arguments: args }));

describe("add_hostfwd", () => {
  it.each([
    [{ proto: "tcp", host_port: 80, guest_port: 81 }, "tcp::80-10.0.2.100:81"],
    [{ proto: "udp", host_addr: "", host_port: 80, guest_port: 81 }, "udp::80-10.0.2.100:81"],
    [
      {
        proto: "tcp",
        host_addr: "127.0.0.1",
        host_port: 80,
        guest_addr: "10.0.2.7",
        guest_port: 81,
      },
      "tcp:127.0.0.1:80-10.0.2.7:81",
    ],
    [{ proto: "tcp4", host_port: 80, guest_port: 81 }, "tcp::80-10.0.2.100:81"],
    [{ proto: "tcp6", host_port: 80, guest_port: 81 }, "tcp:[::]:80-[fd00::100]:81"],
    [
      { proto: "udp6", host_addr: "::1", host_port: 80, guest_port: 81 },
      "udp:[::1]:80-[fd00::100]:81",
    ],
    [
      { proto: "tcp", host_addr: "::1", host_port: 80, guest_port: 81 },
      "tcp:[::1]:80-10.0.2.100:81",
    ],
    [
      { proto: "udp", host_addr: "::1", host_port: 80, guest_port: 81 },
      "udp:[::1]:80-[fd00::100]:81",
    ],
    [
      {
        proto: "tcp",
        host_addr: "127.0.0.1",
        host_port: 80,
        guest_addr: "fd00::5",
        guest_port: 81,
      },
      "tcp:127.0.0.1:80-[fd00::5]:81",
    ],
  ])("%j opens %s", async (args, rule) => {
    expect(await add(args)).toEqual({ return: { id: 1 } });
    expect(table.rules).toEqual([rule]);
  });

  const good = { proto: "tcp", host_port: 80, guest_port: 81 };

  it.each([
    [{ ...good, proto: "sctp" }, "bad arguments.proto"],
    [{ ...good, proto: undefined }, "bad arguments.proto"],
    [{ ...good, proto: 6 }, "bad arguments.proto"],
    [{ ...good, host_port: undefined }, "bad arguments.host_port"],
    [{ ...good, host_port: 0 }, "bad arguments.host_port"],
    [{ ...good, host_port: 65_536 }, "bad arguments.host_port"],
    [{ ...good, host_port: "80" }, "bad arguments.host_port"],
    [{ ...good, host_port: 80.5 }, "bad arguments.host_port"],
    [{ ...good, guest_port: undefined }, "bad arguments.guest_port"],
    [{ ...good, guest_port: 70_000 }, "bad arguments.guest_port"],
    [{ ...good, host_addr: "localhost" }, "bad arguments.host_addr"],
    [{ ...good, host_addr: 7 }, "bad arguments.host_addr"],
    [{ ...good, proto: "tcp4", host_addr: "::1" }, "bad arguments.host_addr"],
    [{ ...good, guest_addr: "10.0.2" }, "bad arguments.guest_addr"],
    [{ ...good, proto: "udp", guest_addr: "fd00::5" }, "bad arguments.guest_addr"],
    [
      { ...good, host_port: 9 },
      "slirp_add_hostfwd failed: forward tcp::9-10.0.2.100:81: EADDRINUSE",
    ],
  ])("refuses %j", async (args, message) => {
    const answer = (await add(args)) as { error: { desc: string } };
    expect(answer.error.desc).toContain(`bad request: add_hostfwd: ${message}`);
    expect(table.rules).toEqual([]);
  });

  it("refuses IPv6 where it is off", async () => {
    requests = new ApiRequests(table, { ipv4: ipAddress("10.0.2.100"), ipv6: undefined });
    for (const args of [
      { ...good, proto: "tcp6" },
      { ...good, guest_addr: "fd00::5" },
    ]) {
      expect(JSON.stringify(await add(args))).toContain("--enable-ipv6");
    }
  });
});

describe("remove_hostfwd and list_hostfwd", () => {
  it("know a forward by its number, which is never used again", async () => {
    const rule = { proto: "tcp", host_port: 80, guest_port: 81 };
    await add(rule);
    const remove = (id: unknown): Promise<object> =>
      requests.answer(JSON.stringify({ execute: "remove_hostfwd", arguments: { id } }));
    expect(await remove(1)).toEqual({ return: {} });
    expect(table.rules).toEqual([]);
    expect(await add(rule)).toEqual({ return: { id: 2 } });
    for (const id of [1, "2", -1, undefined]) {
      expect(JSON.stringify(await remove(id))).toContain("remove_hostfwd: bad arguments.id");
    }
    const entry = { id: 2, ...rule, host_addr: "0.0.0.0", guest_addr: "10.0.2.100" };
    const list = await requests.answer('{"execute":"list_hostfwd"}');
    expect(list).toEqual({ return: { entries: [entry] }, entries: [entry] });
  });

  it.each([
    ["not json", "cannot parse JSON"],
    ["", "cannot parse JSON"],
    ["42", "json_object() failed"],
    ["[]", "json_object() failed"],
    ["null", "json_object() failed"],
    ["{}", "no execute found"],
    ['{"execute":4}', "no execute found"],
    ['{"execute":"nonsense"}', "unknown execute"],
    ['{"execute":"add_hostfwd"}', "add_hostfwd: bad arguments.proto"],
    ['{"execute":"add_hostfwd","arguments":5}', "add_hostfwd: bad arguments.proto"],
  ])("%j is answered by an error", async (text, message) => {
    const answer = (await requests.answer(text)) as { error: { desc: string } };
    expect(answer.error.desc).toContain(`bad request: ${message}`);
  });
});

describe("the API socket", () => {
  let folder: string;
  let path: string;
  let server: ApiServer;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "netns-api-"));
    path = join(folder, "api.sock");
    server = await ApiServer.listen(path, requests);
  });

  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const LIST = '{"execute":"list_hostfwd"}';

  it("is only its owner's, and gone when closed", async () => {
    expect(statSync(path).mode & 0o077).toBe(0);
    await server.close();
    expect(existsSync(path)).toBe(false);
  });

  it("answers a request that comes byte by byte", async () => {
    const socket = connect({ path, allowHalfOpen: true }).setNoDelay(true);
    for (const byte of LIST) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end();
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(JSON.parse(answer.toString())).toHaveProperty("return");
  });

  it("answers a client that never closes its side", async () => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.write(LIST);
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(JSON.parse(answer.toString())).toHaveProperty("return");
    socket.destroy();
  });

  it("refuses a request of 4096 bytes, and takes one of 4095", async () => {
    const pad = (length: number): string => LIST + " ".repeat(length - LIST.length);
    expect(await askApi(path, pad(4095))).toHaveProperty("return");
    expect(JSON.stringify(await askApi(path, pad(4096)))).toContain("too large message");
  });

  it("answers those that come at the same time, each with its own number", async () => {
    const rules = Array.from({ length: 20 }, (_, i) => ({
      execute: "add_hostfwd",
      arguments: { proto: "tcp", host_port: 1000 + i, guest_port: 80 },
    }));
    const answers = await Promise.all(rules.map((rule) => askApi(path, rule)));
    const ids = answers.map((answer) => (answer as { return: { id: number } }).return.id);
    expect(new Set(ids).size).toBe(20);
  });

  it("lives on when clients go away in the middle", async () => {
    for (let i = 0; i < 20; i++) {
      const socket = connect(path);
      await once(socket, "connect");
      socket.write('{"execute":');
      socket.destroy();
    }
    expect(await askApi(path, LIST)).toHaveProperty("return");
  });

  it("takes the place of a socket that nobody listens at, of nothing else", async () => {
    await expect(ApiServer.listen(path, requests)).rejects.toThrow(/EADDRINUSE/);
    const file = join(folder, "file");
    writeFileSync(file, "kept");
    await expect(ApiServer.listen(file, requests)).rejects.toThrow(/EADDRINUSE/);
    await expect(ApiServer.listen(join(folder, "x".repeat(108)), requests)).rejects.toThrow(
      /too long/,
    );
    await expect(ApiServer.listen("/nonexistent/api.sock", requests)).rejects.toThrow(
      /api_bindlisten: bind: .*/,
    );
  });
});
