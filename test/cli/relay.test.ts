/**
 * `slirp-wasm relay`, the program, with a client that speaks Wisp.
 */
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "dns-packet";
import { afterEach, describe, expect, it } from "vitest";
import {
  BindResult,
  encodeListen,
  encodeListenToken,
  LISTEN_EXTENSION_ID,
} from "../../src/wisp-listen.js";
import { WebSocket } from "ws";
import { WebSocketBackend } from "../../src/backends/web-socket-backend.js";
import type { WebSocketClass } from "../../src/web-socket.js";
import { encodeConnect, WispKind, WispReason } from "../../src/wisp.js";
import { WispClient } from "../relay/wisp-client.js";
import { CliProcess, runCli } from "../support/cli.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { RawGuest } from "../support/raw-guest.js";
import { waitUntil } from "../support/wait-until.js";

const running: CliProcess[] = [];

afterEach(() => {
  for (const { child } of running.splice(0)) child.kill("SIGKILL");
});

async function start(...words: string[]): Promise<{ cli: CliProcess; url: string }> {
  const cli = new CliProcess(["relay", "--listen", "127.0.0.1:0", ...words]);
  running.push(cli);
  await waitUntil(`it prints its URL (${cli.errorOutput})`, () => cli.output.endsWith("\n"));
  return { cli, url: cli.output.trim() };
}

describe("slirp-wasm relay", () => {
  it("prints its URL, relays by its rules, and says which one refused", async () => {
    const { cli, url } = await start("--allow", "127.0.0.1:9", "--token", "abc");
    expect(url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/abc\/$/);
    await using client = await new WispClient(url).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", 9));
    expect(await client.closeReason(1)).toBe(WispReason.refused);
    client.send(encodeConnect(2, WispKind.tcp, "127.0.0.1", 10));
    expect(await client.closeReason(2)).toBe(WispReason.blocked);
    cli.kill("SIGTERM");
    await waitUntil("the client is let go", () => client.closeCode === 1001);
    expect(await cli.ended()).toMatchObject({ status: 0, signal: null });
  });

  it("opens ports for who knows the token, where it is told to, and tells which", async () => {
    const { cli, url } = await start(
      "--verbose",
      "--forward-ports",
      "20000-30000",
      "--forward-token",
      "abc",
    );
    const metadata = encodeListenToken("abc");
    const extensions = [{ id: LISTEN_EXTENSION_ID, metadata }];
    await using client = await new WispClient(url, { version: 2, extensions }).ready();
    client.send(encodeListen(1, WispKind.tcp, { address: "", port: 0, ipv6Only: false }));
    const { result, port } = await client.listenPacket("bound", ({ id }) => id === 1);
    expect(result).toBe(BindResult.bound);
    await waitUntil("it is told", () => cli.errorOutput.includes(String(port)));
  });

  it("takes a file, to which the command line adds", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-relay-"));
    const config = join(folder, "relay.json");
    await writeFile(config, JSON.stringify({ allow: ["127.0.0.1:9"], users: { ann: "pass" } }));
    const { cli, url } = await start("--config", config, "--allow", "127.0.0.1:11");
    expect(cli.errorOutput).toContain("127.0.0.1:9, 127.0.0.1:11");
    await using client = new WispClient(url);
    expect(await client.closeReason(0)).toBe(WispReason.credentialsMissing);
    await rm(folder, { recursive: true });
  });

  it("has rooms, DNS over HTTPS, keys and paths with a target where they are asked for", async () => {
    const { publicKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64");
    await using resolver = await DnsResolver.start("127.0.0.1", { "a.test": { a: "192.0.2.1" } });
    const { cli, url } = await start(
      ...["--rooms", "--doh", resolver.server, "--key", key, "--websockify", "/echo=127.0.0.1:9"],
    );
    const backend = new WebSocketBackend({
      url: `${url}l2/room`,
      webSocket: WebSocket as unknown as WebSocketClass,
    });
    const guest = new RawGuest(backend);
    guest.arp();
    await guest.until(() => guest.arpReplies.length > 0, "the gateway's address");
    await backend.close();
    const query = encode({ type: "query", questions: [{ name: "a.test", type: "A" }] });
    const path = `dns-query?dns=${query.toString("base64url")}`;
    const answer = await fetch(url.replace("ws:", "http:") + path);
    expect(decode(Buffer.from(await answer.arrayBuffer())).answers).toMatchObject([
      { data: "192.0.2.1" },
    ]);
    await using stranger = new WispClient(url);
    expect(await stranger.closeReason(0)).toBe(WispReason.credentialsMissing);
    const tunnel = new WebSocket(`${url}echo`, ["binary"]);
    expect((await once(tunnel, "close"))[0], "nobody listens there").toBe(1011);
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ status: 0 });
  });

  it("serves TLS by the files that are named, and logs JSON", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-relay-"));
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const made = spawnSync("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
      ...["-days", "2", "-keyout", key, "-out", cert],
    ]);
    expect(made.status, made.stderr.toString()).toBe(0);
    const { cli, url } = await start("--tls-cert", cert, "--tls-key", key, "--json");
    expect(url).toMatch(/^wss:/);
    const socket = new WebSocket(url, { ca: await readFile(cert) });
    await once(socket, "open");
    socket.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", 80));
    await waitUntil("the refusal is logged", () => cli.errorOutput.includes("refused a stream"));
    const lines = cli.errorOutput.trimEnd().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries.at(-1)).toMatchObject({
      msg: "refused a stream",
      rule: "127.0.0.1 is loopback, not global unicast",
      target: "127.0.0.1:80",
    });
    cli.kill("SIGTERM");
    socket.terminate();
    await cli.ended();
    await rm(folder, { recursive: true });
  });

  it.each([
    [["--rooms=user,hostfwd=tcp::1-:2"], "hostfwd"],
    [["--rooms=users"], "users"],
    [["--doh", "nowhere"], 'resolver "nowhere"'],
    [["--websockify", "/db"], "/PATH=HOST:PORT"],
    [["--key", "/none"], "--key /none"],
    [["--allow", "1.2"], 'allow "1.2"'],
    [["--listen", "nowhere"], '--listen "nowhere", column 1'],
    [["--origin", "example.org"], 'origin "example.org"'],
    [["--name", "*"], 'name "*"'],
    [["--user", "ann"], "NAME:PASSWORD"],
    [["--tls-cert", "x.pem"], "--tls-key"],
    [["--tls-cert", "/none", "--tls-key", "/none"], "/none"],
    [["--config", "/none"], "--config /none"],
    [["--forward-ports", "80-79"], "80-79"],
    [["--forward-token", "abc"], "--forward-ports"],
    [["--drain", "soon"], "--drain"],
    [["--wrong"], "--wrong"],
  ])("ends with 2 and one line for bad use: %j", async (words, named) => {
    const { status, output, errorOutput } = await runCli(["relay", ...words]);
    expect({ status, output }).toEqual({ status: 2, output: "" });
    expect(errorOutput).toContain(named);
    expect(errorOutput.trimEnd()).not.toContain("\n");
  });
});
