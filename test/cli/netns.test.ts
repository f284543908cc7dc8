/**
 * The command line of `slirp-wasm netns`: what it refuses, in which words and with which status. Where Debian's slirp4netns is installed,
 * it is given the same and must say the same.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeScratch } from "../house/scratch.js";
import { runCli } from "../support/cli.js";
import {
  NATIVE,
  NetnsProcess,
  OURS,
  runNetnsProgram,
  type NetnsProgram,
} from "../support/netns-program.js";
import { waitUntil } from "../support/wait-until.js";

/** A process id that nothing has. */
const NOBODY = "4999999";

/** Refused with the usage behind it. */
const BAD_USE: readonly (readonly [readonly string[], string])[] = [
  [[], ""],
  [["-c"], ""],
  [["-c", NOBODY], ""],
  [["--nonsense", NOBODY, "tap0"], "slirp4netns: unrecognized option '--nonsense'"],
  [["-x", NOBODY, "tap0"], "slirp4netns: invalid option -- 'x'"],
  [["-5", "tap0"], "slirp4netns: invalid option -- '5'"],
  [["-m"], "slirp4netns: option requires an argument -- 'm'"],
  [["--cidr"], "slirp4netns: option '--cidr' requires an argument"],
  [["--configure=yes", NOBODY], "slirp4netns: option '--configure' doesn't allow an argument"],
  [["--disable", NOBODY], "slirp4netns: option '--disable' is ambiguous; possibilities:"],
  [["-m", "abc", NOBODY, "tap0"], "MTU must be a positive integer (< 65522)"],
  [["-m0", NOBODY, "tap0"], "MTU must be a positive integer (< 65522)"],
  [["-m", "65522", NOBODY, "tap0"], "MTU must be a positive integer (< 65522)"],
  [["--mtu=1500x", NOBODY, "tap0"], "MTU must be a positive integer (< 65522)"],
  [["-r", "abc", NOBODY, "tap0"], "ready-fd must be a non-negative integer"],
  [["-r", "-1", NOBODY, "tap0"], "ready-fd must be a non-negative integer"],
  [["-e", "abc", NOBODY, "tap0"], "exit-fd must be a non-negative integer"],
  [["abc", "tap0"], "PID must be a positive integer"],
  [["12x", "tap0"], "PID must be a positive integer"],
  [["--netns-type=path", "/nonexistent", "tap0"], "existing path expected when --netns-type=path"],
  [["--userns-path=/nonexistent", NOBODY, "tap0"], "userns path doesn't exist: /nonexistent"],
  [
    ["--macaddress=02:00:00:00:00:01", NOBODY, "tap0"],
    "--macaddr cannot be specified when --configure or -c is not specified",
  ],
  [["--target-type=foo", NOBODY], '--target-type must be either "netns" or "bess"'],
  [["--target-type=bess", "-c", "/tmp/x"], "--configure conflicts with --target-type=bess"],
  [
    ["--target-type=bess", "--netns-type=pid", "/tmp/x"],
    "--netns-type conflicts with --target-type=bess",
  ],
  [["--target-type=bess", "/tmp/x", "tap0"], "too many arguments"],
];

/** Refused without it. */
const BAD_VALUES: readonly (readonly [readonly string[], string])[] = [
  [["--cidr=abc", NOBODY, "tap0"], "invalid CIDR: abc"],
  [["--cidr=10.0.2.0", NOBODY, "tap0"], "invalid CIDR: 10.0.2.0"],
  [["--cidr=10.0.2.0/24x", NOBODY, "tap0"], "invalid CIDR: 10.0.2.0/24x"],
  [["--cidr=fd00::/64", NOBODY, "tap0"], "invalid CIDR: fd00::/64"],
  [["--cidr=10.0.2.0/26", NOBODY, "tap0"], "prefix length needs to be 1-25"],
  [["--cidr=10.0.2.0/0", NOBODY, "tap0"], "prefix length needs to be 1-25"],
  [["--cidr=10.0.2.1/24", NOBODY, "tap0"], "CIDR needs to be a network address like 10.0.2.0/24"],
  [
    ["--outbound-addr=1.2.3", NOBODY, "tap0"],
    "outbound-addr has to be valid ipv4 address or interface name.",
  ],
];

const compared: readonly NetnsProgram[] = NATIVE ? [OURS, NATIVE] : [OURS];

describe.each(compared)("the command line of $name", (program) => {
  it.each(BAD_USE)("refuses %j with the usage and status 1", async (words, message) => {
    const { status, output, errorOutput } = await runNetnsProgram(program, words);
    expect(status).toBe(1);
    expect(output).toMatch(/^Usage: slirp4netns \[OPTION\]\.\.\. PID\|PATH/);
    if (message === "") expect(errorOutput).toBe("");
    else expect(errorOutput).toContain(message);
  });

  it.each(BAD_VALUES)("refuses %j with status 1", async (words, message) => {
    const { status, output, errorOutput } = await runNetnsProgram(program, words);
    expect(status).toBe(1);
    expect(output).not.toContain("Usage");
    expect(errorOutput).toContain(message);
  });

  it("says which namespace it cannot open", async () => {
    const { status, errorOutput } = await runNetnsProgram(program, ["-cm1400", NOBODY, "tap0"]);
    expect(status).toBe(1);
    expect(errorOutput).toContain(`/proc/${NOBODY}/ns/net: No such file or directory`);
    expect(errorOutput).toContain("child failed(1)");
  });

  it("names in its help every option that container engines look for", async () => {
    const { status, output } = await runNetnsProgram(program, ["--help"]);
    expect(status).toBe(0);
    const names =
      "configure exit-fd ready-fd mtu enable-ipv6 api-socket cidr disable-host-loopback netns-type userns-path enable-sandbox " +
      "enable-seccomp outbound-addr outbound-addr6 disable-dns macaddress target-type help version";
    for (const name of names.split(" ")) expect(output).toContain(`--${name}`);
  });

  it("tells its version in lines that scripts know", async () => {
    const { status, output } = await runNetnsProgram(program, ["-v"]);
    expect(status).toBe(0);
    expect(output).toMatch(/ version \d+\.\d+\.\d+/);
    expect(output).toMatch(/^libslirp: \d+\.\d+\.\d+/m);
    expect(output).toMatch(/^SLIRP_CONFIG_VERSION_MAX: \d+$/m);
  });
});

describe("slirp-wasm netns", () => {
  it.each(["-1", "1001", "soon"])("refuses to poll busily for %s microseconds", async (us) => {
    const words = [`--busy-poll=${us}`, NOBODY, "tap0"];
    const { status, errorOutput } = await runNetnsProgram(OURS, words);
    expect(status).toBe(1);
    expect(errorOutput).toContain("--busy-poll must be microseconds, 0 to 1000");
  });

  it("says who it is, under either name", async () => {
    const { output } = await runNetnsProgram(OURS, ["--version"]);
    expect(output).toMatch(/^slirp-wasm version /);
    expect((await runCli(["netns", "--version"])).output).toBe(output);
  });

  it("calls itself as it was called", async () => {
    expect((await runCli(["netns", "-h"])).output).toMatch(/^Usage: slirp-wasm netns \[OPTION\]/);
    expect((await runCli(["netns", "-x"])).errorOutput).toBe(
      "slirp-wasm netns: invalid option -- 'x'\n",
    );
  });

  it.each([
    [["-c", "--macaddress=aa:bb:cc", NOBODY, "tap0"], /"aa:bb:cc" is no MAC address/],
    [["--netns-type=tapfd", "-c", "7"], /--configure conflicts with --netns-type=tapfd/],
    [["--netns-type=tapfd", "seven"], /tapfd must be a non-negative integer/],
    [["--netns-type=foo", NOBODY, "tap0"], /"pid", "path" or "tapfd", not "foo"/],
  ])("refuses %j, and says why", async (words, message) => {
    const { status, errorOutput } = await runNetnsProgram(OURS, words);
    expect(status).toBe(1);
    expect(errorOutput).toMatch(message);
  });

  it("ends when it is told to, while the namespace's file keeps it waiting", async () => {
    const path = join(makeScratch(), "fifo");
    execFileSync("mkfifo", [path]);
    const words = ["--netns-type=path", path, "tap0"];
    await using process = new NetnsProcess(OURS, words);
    const pid = String(process.child.pid);
    await waitUntil("its program waits at the file", () => {
      return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8") !== "";
    });
    process.child.kill("SIGTERM");
    expect(await process.ended()).toMatchObject({ status: null, signal: "SIGTERM" });
  });

  it("refuses a descriptor that is no TAP", async () => {
    const { status, errorOutput } = await runNetnsProgram(OURS, ["--netns-type=tapfd", "0"]);
    expect(status).toBe(1);
    expect(errorOutput).toMatch(/descriptor 0 cannot be used as a TAP/);
  });
});
