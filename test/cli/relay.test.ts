/**
 * `slirp-wasm relay`, the program, with a client that speaks Wisp.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import {
  BindResult,
  encodeListen,
  encodeListenToken,
  LISTEN_EXTENSION_ID,
} from "../../src/wisp-listen.js";
import { encodeConnect, WispKind, WispReason } from "../../src/wisp.js";
import { WispClient } from "../relay/wisp-client.js";
import { CliProcess, runCli } from "../support/cli.js";
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

  it.each([
    [["--allow", "1.2"], 'allow "1.2"'],
    [["--listen", "nowhere"], "--listen"],
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
