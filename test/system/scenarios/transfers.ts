/** Bytes in numbers, both ways, checked by their hashes on both sides. */
import { afterAll, beforeAll, expect, it, type TestContext } from "vitest";
import { HostHttpServer } from "../../support/host/http-server.js";
import { fetchedHash, makeRandomFile, succeed } from "../../support/guest-commands.js";
import type { GuestRig } from "../../support/rig.js";

const MIB = 1024 * 1024;
const DOWNLOAD_BYTES = 32 * MIB;
const UPLOAD_BYTES = 16 * MIB;
const AT_ONCE = 10;

export function describeTransfers(rigOf: (ctx: TestContext) => GuestRig): void {
  let server: HostHttpServer;
  let server6: HostHttpServer;
  beforeAll(async () => {
    [server, server6] = await Promise.all([HostHttpServer.start(), HostHttpServer.start("::1")]);
  });
  afterAll(async () => {
    await Promise.all([server, server6].map((each) => each[Symbol.asyncDispose]()));
  });

  it("fetches 32 MiB unchanged", async (ctx) => {
    const { guest } = rigOf(ctx);
    const file = server.randomFile("large", DOWNLOAD_BYTES);
    const hash = await fetchedHash(guest, `http://10.0.2.2:${String(server.port)}${file.path}`);
    expect(hash).toBe(file.sha256);
  });

  it("fetches over IPv6 from a server that has only ::1", async (ctx) => {
    const { guest } = rigOf(ctx);
    const file = server6.randomFile("six", MIB);
    const hash = await fetchedHash(guest, `http://[fec0::2]:${String(server6.port)}${file.path}`);
    expect(hash).toBe(file.sha256);
  });

  it("puts 16 MiB unchanged", async (ctx) => {
    const { guest } = rigOf(ctx);
    const sha256 = await makeRandomFile(guest, "/tmp/upload", UPLOAD_BYTES);
    const head = [
      "PUT /upload HTTP/1.1",
      "Host: host",
      `Content-Length: ${String(UPLOAD_BYTES)}`,
      "Connection: close",
    ];
    const answer = await succeed(
      guest,
      `{ printf '${head.join(String.raw`\r\n`)}${String.raw`\r\n\r\n`}'; cat /tmp/upload; } |
        nc 10.0.2.2 ${String(server.port)}; rm /tmp/upload`,
    );
    expect(server.requests.at(-1)).toBe("PUT /upload");
    expect(answer.split("\n").at(-1)).toBe(`${String(UPLOAD_BYTES)} ${sha256}`);
  });

  it("carries ten transfers at once", async (ctx) => {
    const { guest } = rigOf(ctx);
    const files = Array.from({ length: AT_ONCE }, (_, index) =>
      server.randomFile(`part-${String(index)}`, MIB + index),
    );
    const fetches = files.map(
      ({ path }, index) =>
        `wget -q -O - 'http://10.0.2.2:${String(server.port)}${path}' | sha256sum >/tmp/hash-${String(index)} &`,
    );
    const read = files.map((_, index) => `cat /tmp/hash-${String(index)}`);
    const text = await succeed(guest, [...fetches, "wait", ...read].join("\n"));
    const hashes = text.split("\n").map((line) => line.slice(0, 64));
    expect(hashes).toEqual(files.map(({ sha256 }) => sha256));
  });
}
