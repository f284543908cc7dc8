/**
 * `slirp-wasm run` with a real guest: what people and scripts get.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { once } from "node:events";
import { beforeEach, describe, expect, it } from "vitest";
import { CliProcess, MAIN_PATH, runCli } from "../support/cli.js";
import { v86ImageMissing } from "../support/v86-image.js";

/** A restored guest answers within seconds, on a machine that has time. */
const WAIT = { timeout: 200_000, interval: 100 } as const;

beforeEach((ctx) => {
  const missing = v86ImageMissing();
  if (missing !== undefined) ctx.skip(missing);
});

describe("slirp-wasm run -- COMMAND", () => {
  it.each(["virtio", "ne2k"])(
    "gives output and exit status of the command, with %s",
    async (nic) => {
      const { status, output, errorOutput } = await runCli([
        "run",
        ...["--nic", nic],
        "--",
        "ping -q -c 1 10.0.2.2 >/dev/null && echo reached; echo oops >&2; exit 7",
      ]);
      expect(errorOutput).toMatch(
        /address 10\.0\.2\.15\/24.*gateway 10\.0\.2\.2.*name server 10\.0\.2\.3/,
      );
      expect({ status, output }).toEqual({ status: 7, output: "reached\noops\n" });
    },
  );

  it("gives words to the command as they are, and it standard input", async () => {
    const { status, output } = await runCli(
      ["run", "--", "sh", "-c", 'printf "%s|" "$@"; od -An -tx1', "sh", "a  b", "it's $HOME"],
      Uint8Array.of(0x00, 0x03, 0x04, 0x0d, 0x7f, 0x0a, 0x78),
    );
    expect(output).toBe("a  b|it's $HOME| 00 03 04 0d 7f 0a 78\n");
    expect(status).toBe(0);
  });

  it("runs standard input as a script where there is no command", async () => {
    const { status, output } = await runCli(["run"], "echo $((6 * 7))\nexit 3\n");
    expect({ status, output }).toEqual({ status: 3, output: "42\n" });
  });

  it("reaches servers on the host's loopback, and is reached through forwards", async () => {
    const server = createServer((_request, response) => response.end("from the host\n"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const cli = new CliProcess([
      "run",
      ...["--hostfwd", "tcp:127.0.0.1:0-:7777"],
      "--",
      `wget -qO- http://10.0.2.2:${String(port)}/; nc -l -p 7777 </dev/null`,
    ]);
    const forwarded = await expect
      .poll(() => /forward tcp:127\.0\.0\.1:(\d+)-:7777/.exec(cli.errorOutput)?.[1], WAIT)
      .toBeDefined()
      .then(() => Number(/forward tcp:127\.0\.0\.1:(\d+)-/.exec(cli.errorOutput)?.[1]));
    await expect.poll(() => cli.output, WAIT).toContain("from the host");
    // The guest's nc may not listen yet: a connection that it refuses is made again.
    const timer = setInterval(() => {
      const socket = connect(forwarded, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.end("to the guest\n");
    }, 500);
    const { status, output } = await cli.ended();
    clearInterval(timer);
    server.close();
    expect({ status, output }).toEqual({ status: 0, output: "from the host\nto the guest\n" });
  });

  it("ends with 124 when --timeout runs out", async () => {
    const { status, errorOutput } = await runCli(["run", "--timeout", "0.2", "--", "sleep 1000"]);
    expect(status).toBe(124);
    expect(errorOutput).toMatch(/not done within 0\.2 s\n$/);
  });

  it("ends with 130 by SIGINT while the command runs", async () => {
    const cli = new CliProcess(["run", "--", "echo started; sleep 1000"]);
    await expect.poll(() => cli.output, WAIT).toBe("started\n");
    cli.kill("SIGINT");
    expect(await cli.ended()).toMatchObject({ status: 130, signal: null });
  });

  it("ends with 143 by SIGTERM while it boots afresh, with --no-state", async () => {
    const cli = new CliProcess(["run", "--no-state", "--", "true"]);
    await expect.poll(() => cli.errorOutput, WAIT).toContain("booting the guest");
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ status: 143, signal: null, output: "" });
  });

  it("ends as by SIGPIPE, without a word, when nobody reads its output", async () => {
    const cli = new CliProcess(["run", "--", "while :; do echo more; done"]);
    await expect.poll(() => cli.output, WAIT).toContain("more");
    cli.child.stdout?.destroy();
    const { status, errorOutput } = await cli.ended();
    expect(status).toBe(141);
    expect(errorOutput).not.toContain("EPIPE");
  });

  it("ends well when the guest powers itself off", async () => {
    const { status } = await runCli(["run", "--", "poweroff; sleep 1000"]);
    expect(status).toBe(0);
  });
});

describe("slirp-wasm run in a terminal", () => {
  it("is a shell with keys and a size, and Ctrl-] x leaves it", async (ctx) => {
    if (!existsSync("/usr/bin/script")) ctx.skip("there is no script(1) (Debian package bsdutils)");
    const command = `stty rows 33 cols 99; exec ${process.execPath} ${MAIN_PATH} run`;
    const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: "pipe" });
    let screen = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (screen += text));
    const type = async (keys: string, answer: string | RegExp): Promise<void> => {
      child.stdin.write(keys);
      await expect.poll(() => screen, WAIT).toMatch(answer);
    };
    await type("", /Ctrl-\] x leaves it[^]*# /);
    await type("echo size $(stty size) $((6*7))\r", "size 33 99 42");
    await type("sleep 1000; echo 'not' reached\r", "sleep 1000");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await type("\u0003", /\^C/);
    await type("echo still $((1+1)) here\r", "still 2 here");
    expect(screen).not.toContain("not reached");
    child.stdin.write("\u001dx");
    const [status] = (await once(child, "close")) as [number];
    expect(status).toBe(0);
  });
});
