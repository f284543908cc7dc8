/**
 * The program's help, version and answers to bad use.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runCli } from "../support/cli.js";

describe("slirp-wasm", () => {
  it.each([
    [["--help"]],
    [["run", "--help"]],
    [["qemu", "--help"]],
    [["relay", "--help"]],
    [["demo", "--help"]],
    [["tap", "--help"]],
    [["help", "run"]],
  ])("%j shows help with examples on standard output", async (words) => {
    const { status, output, errorOutput } = await runCli(words);
    expect({ status, errorOutput }).toEqual({ status: 0, errorOutput: "" });
    expect(output).toMatch(/^Usage: slirp-wasm/);
    expect(output).toContain("Examples:");
  });

  it("--version prints the package's version", async () => {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    const { status, output } = await runCli(["--version"]);
    expect({ status, output }).toEqual({ status: 0, output: `${version}\n` });
  });

  it.each([
    [[], /there is no command; see slirp-wasm --help/],
    [["tap"], /there is no command; see slirp-wasm tap --help/],
    [["tap", "delete"], /missing required argument 'name'; see slirp-wasm tap delete --help/],
    [["tap", "create", "--ip", "here"], /--ip: it has "here"/],
    [
      ["demo", "--listen", "here"],
      /--listen "here", column 1: there is no port; write "HOST:PORT"/,
    ],
    [["boot"], /unknown command 'boot'/],
    [["--fast"], /unknown option '--fast'/],
    [["--jsn"], /unknown option '--jsn' \(Did you mean --json\?\)/],
    [["run", "--fast"], /unknown option '--fast'/],
    [["run", "--nic", "e1000"], /--nic "e1000".*"virtio" or "ne2k"/],
    [["run", "--timeout", "soon"], /--timeout "soon".*seconds/],
    [["run", "--hostfwd", "tcp::80x-:80"], /"tcp::80x-:80", column 6/],
    [["run", "--hostfwd", "tcp::8080-:80", "--hostfwd", "tcp::1"], /"tcp::1", column/],
    [["run", "--netdev", "user,nett=10.0.0.0/8"], /"user,nett=10.0.0.0\/8", column 6/],
    [["run", "--netdev", "user,smb=/srv"], /option "smb"/],
    [["run", "--netdev", "user,net=10.0.5.0/24,dhcpstart=10.0.6.9"], /10\.0\.6\.9/],
    [["qemu"], /--listen <address>' not specified/],
    [["qemu", "--listen", "net.sock"], /--listen "net.sock", column 1/],
    [["qemu", "--listen", "tcp:127.0.0.1:99999"], /column 15.*0 to 65535/],
    [["qemu", "--listen", "unix:/tmp/x", "--dgram"], /no unix datagram sockets/],
    [["qemu", "--listen", "tcp:127.0.0.1:0", "--dgram"], /datagrams/],
    [["qemu", "--listen", "udp:127.0.0.1:0", "--shared"], /--shared/],
    [["qemu", "--listen", "udp:localhost:0"], /"localhost".*IP address/],
  ])("refuses %j with status 2 and one line", async (words, message) => {
    const { status, output, errorOutput } = await runCli(words);
    expect(errorOutput).toMatch(message);
    expect(errorOutput).toMatch(/^slirp-wasm: [^\n]+\n$/);
    expect({ status, output }).toEqual({ status: 2, output: "" });
  });

  it("says so in one line of JSON with --json", async () => {
    const { status, errorOutput } = await runCli(["run", "--json", "--hostfwd", "tcp::80x-:80"]);
    expect(status).toBe(2);
    const lines = errorOutput.trim().split("\n");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      name: "slirp-wasm",
      status: 2,
      msg: expect.stringContaining("column 6") as string,
    });
  });
});
