/**
 * Every example of README.md, run as it stands there. What an example leaves to the reader (a relay's URL, a path, a port, the options
 * of an emulator) is put in; what it makes is then used.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { WebSocket } from "ws";
import { DEFAULT_IMAGE_FOLDER, stateFileNames } from "../../src/cli/guest-image.js";
import { createRelay } from "../../src/relay.js";
import { ROOT } from "../house/scratch.js";
import { browserMissing, launchBrowser } from "../support/browser.js";
import { CliProcess, runCli } from "../support/cli.js";
import { FakeQemu } from "../support/fake-qemu.js";
import { GUEST_MAC } from "../support/frames.js";
import { makeArpFrame } from "../support/make-frame.js";
import { serveFolder } from "../support/static-server.js";
import { v86ImageMissing } from "../support/v86-image.js";
import { NetworkNamespace, whyNoTap } from "../support/network-namespace.js";
import { waitUntil } from "../support/wait-until.js";
import { runSuccessfully, shareInstalledProject } from "./installed-project.js";

const VITE = join(ROOT, "node_modules/vite/bin/vite.js");
const EXCHANGE = join(ROOT, "test/package/consumers/page/exchange.js");
const EXAMPLE_RELAY = "wss://relay.example.org/";
const STATE = stateFileNames("virtio");

const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The code between fences, with what it is in. */
const examples = [...README.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
  ([, language = "", code = ""]) => ({ language, code }),
);

/** The one example in which a text occurs. */
function exampleWith(text: string): string {
  const found = examples.filter(({ code }) => code.includes(text));
  expect(found, `examples with "${text}"`).toHaveLength(1);
  return found[0]?.code ?? "";
}

/** Puts in what an example leaves to the reader. It must stand there, once. */
function fillIn(code: string, values: Readonly<Record<string, string>>): string {
  let filled = code;
  for (const [placeholder, value] of Object.entries(values)) {
    expect(filled.split(placeholder), placeholder).toHaveLength(2);
    filled = filled.replace(placeholder, () => value);
  }
  return filled;
}

/** What finds each example below. One that none finds is not tested. */
const MARKS = [
  "npm start",
  "npx slirp-wasm",
  "new V86(",
  "card.",
  "listenQemu",
  "openTap(",
  "slirp.fetch(",
  "serveGuest(",
  "createRelay",
];

it("each example is one of those that are run here", () => {
  const untested = examples.filter(({ code }) => !MARKS.some((mark) => code.includes(mark)));
  expect(untested).toEqual([]);
  expect(examples.length).toBe(MARKS.length);
});

it("the commands it begins with are scripts of the checkout", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const names = exampleWith("npm start").trim().split("\n");
  expect(names.map((line) => scripts[line.replace(/^npm (run )?/, "")])).not.toContain(undefined);
});

describe("README's command lines", () => {
  let server: Server | undefined;
  let port = "";

  beforeAll(async () => {
    server = createServer((_request, response) => response.end("read me\n"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    port = String((server.address() as AddressInfo).port);
  });

  afterAll(() => server?.close());

  /** The line with this text: its words behind `npx slirp-wasm`. */
  function wordsOf(text: string, values: Readonly<Record<string, string>> = {}): string[] {
    const lines = exampleWith("npx slirp-wasm").trim().split("\n");
    const line = lines.find((candidate) => candidate.includes(text)) ?? "";
    return fillIn(line.replace(/ +#.*$/, ""), values)
      .split(" ")
      .slice(2);
  }

  it("are all tested", () => {
    const lines = exampleWith("npx slirp-wasm").trim().split("\n");
    const tested = [" demo", "wget", "httpd", "netns", "--help"];
    expect(lines.filter((line) => !tested.some((text) => line.includes(text)))).toEqual([]);
  });

  it("print help", async () => {
    expect(await runCli(wordsOf("--help"))).toMatchObject({ status: 0 });
  });

  it("run a command in the guest", async (ctx) => {
    needsGuest(ctx);
    const end = await runCli(wordsOf("wget", { "8000": port }));
    expect(end).toMatchObject({ status: 0, output: "read me\n" });
  });

  it("let the guest serve", async (ctx) => {
    needsGuest(ctx);
    const free = createServer();
    await once(free.listen(0), "listening");
    const hostPort = String((free.address() as AddressInfo).port);
    free.close();
    const cli = new CliProcess(wordsOf("httpd", { "8080": hostPort }));
    const ask = (): Promise<boolean> =>
      fetch(`http://localhost:${hostPort}/`).then(
        ({ status }) => status === 404,
        () => false,
      );
    await waitUntil("the guest's server answers", ask, 120_000);
    cli.kill("SIGINT");
    await cli.ended();
  });

  it("give a namespace a network", async (ctx) => {
    const reason = whyNoTap();
    if (reason !== undefined) ctx.skip(reason);
    await using namespace = await NetworkNamespace.create();
    const cli = new CliProcess(wordsOf("netns", { $PID: String(namespace.pid) }));
    const hasAddress = async (): Promise<boolean> =>
      (await namespace.run("ip", "-o", "address")).includes("10.0.2.100/24");
    await waitUntil("the namespace has an address", hasAddress);
    const url = `http://10.0.2.2:${port}/`;
    expect(await namespace.run("curl", "-sS", "--max-time", "60", url)).toBe("read me\n");
    cli.kill("SIGTERM");
    await cli.ended();
  });

  it("show the demo", async (ctx) => {
    needsGuest(ctx);
    if (!existsSync(join(ROOT, "build/demo/index.html"))) ctx.skip("build/demo is not built");
    const cli = new CliProcess([...wordsOf(" demo"), "--listen", "127.0.0.1:0"]);
    await waitUntil("it prints its URL", () => cli.output.endsWith("\n"));
    expect((await fetch(cli.output.trim())).status).toBe(200);
    cli.kill("SIGINT");
    expect(await cli.ended()).toMatchObject({ status: 0 });
  });
});

function needsGuest(ctx: TestContext): void {
  const reason = v86ImageMissing();
  if (reason !== undefined) ctx.skip(reason);
}

describe("README's programs in Node", () => {
  const project = shareInstalledProject();
  const children: ChildProcess[] = [];

  afterAll(async () => {
    for (const child of children) {
      const ended = once(child, "close");
      child.kill();
      await ended;
    }
  });

  /** Runs an example in the project; answers the first line that it prints. */
  async function run(name: string, code: string): Promise<string> {
    project().write({ [name]: code });
    const child = spawn(process.execPath, [name], {
      cwd: project().folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    await waitUntil(`${name} says that it is ready`, () => output.includes("\n"));
    return output.trim();
  }

  it("give a QEMU guest a network", async () => {
    const path = join(project().folder, "net.sock");
    const example = exampleWith("listenQemu")
      .split("\n")
      .filter((line) => !line.startsWith("//"));
    const code = fillIn(example.join("\n"), {
      "/tmp/net.sock": path,
      "tcp:127.0.0.1:2222-:22": "tcp:127.0.0.1:0-:22",
    });
    const forward = await run("qemu.mjs", `${code}\nconsole.log(slirp.forwards()[0].guestPort);`);
    expect(forward).toBe("22");
    const qemu = await FakeQemu.connect({ path });
    const everybody = new Uint8Array(6).fill(0xff);
    const question = { sender: Uint8Array.of(10, 0, 2, 15), target: Uint8Array.of(10, 0, 2, 2) };
    const macs = { sourceMac: GUEST_MAC, destinationMac: everybody };
    qemu.send(makeArpFrame(macs, { operation: 1, ...question }));
    await waitUntil("the gateway answers", () =>
      qemu.received.some((frame) => frame[13] === 6 && frame[21] === 2 && frame[31] === 2),
    );
    qemu.close();
  });

  it("let the kernel of a namespace be the guest", async (ctx) => {
    const reason = whyNoTap();
    if (reason !== undefined) ctx.skip(reason);
    await using namespace = await NetworkNamespace.create();
    const server = createServer((_request, response) => response.end("read me\n"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const port = String((server.address() as AddressInfo).port);
    const example = exampleWith("openTap").split("\n");
    const command = example.find((line) => line.startsWith("// ip netns exec blue"));
    const code = fillIn(example.filter((line) => !line.startsWith("//")).join("\n"), {
      '"blue"': JSON.stringify(namespace.path),
    });
    expect(await run("tap.mjs", `${code}\nconsole.log(tap.interfaceName);`)).toBe("tap0");
    const words = command?.replace("8000", port).split(" ").slice(5) ?? [];
    expect(await namespace.run(...words, "--max-time", "30")).toBe("read me\n");
    server.close();
  });

  it("mount the relay, for pages of the named origin", async () => {
    const code = fillIn(exampleWith("createRelay"), { "6001": "0" });
    const tell = 'server.once("listening", () => console.log(server.address().port));';
    const port = await run("relay.mjs", `${code}\n${tell}`);
    const ask = async (origin: string): Promise<string> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { origin });
      const open = new Promise<string>((resolve) => {
        // Wisp begins with CONTINUE, type 3.
        socket.on("message", (bytes: Buffer) => {
          resolve(`type ${String(bytes[0])}`);
        });
        socket.on("error", ({ message }) => {
          resolve(message);
        });
      });
      const answer = await open;
      socket.terminate();
      return answer;
    };
    expect(await ask("https://example.org")).toBe("type 3");
    expect(await ask("https://example.com")).toContain("403");
    expect((await fetch(`http://127.0.0.1:${port}/nothing`)).status).toBe(404);
  });
});

describe("README's programs in a page", () => {
  const project = shareInstalledProject();
  let browser: Browser | undefined;
  let relayServer: Server | undefined;
  let port = 0;

  beforeAll(async () => {
    if (browserMissing() !== undefined) return;
    browser = await launchBrowser();
    const server = createServer((_request, response) => response.end("read me\n"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    ({ port } = server.address() as AddressInfo);
    const relay = createRelay({ allow: [`127.0.0.1:${String(port)}`] });
    server.on("upgrade", (request, socket, head) => {
      relay.handleUpgrade(request, socket, head);
    });
    relayServer = server;
    symlinkSync(join(ROOT, "node_modules/v86"), join(project().folder, "node_modules/v86"));
  });

  afterAll(async () => {
    await browser?.close();
    relayServer?.closeAllConnections();
    relayServer?.close();
  });

  const relayUrl = (): string => `ws://127.0.0.1:${String(port)}/`;

  /** Builds a page of one script with Vite, opens it, and hands it to `use`. */
  async function withPage(
    ctx: TestContext,
    name: string,
    files: Readonly<Record<string, string>>,
    use: (page: Page) => Promise<void>,
  ): Promise<void> {
    const reason = browserMissing();
    if (reason !== undefined) ctx.skip(reason);
    const html = '<!doctype html><title></title><script type="module" src="./main.js"></script>';
    const all = { "index.html": html, ...files };
    const named = Object.entries(all).map(([file, text]) => [`${name}/${file}`, text]);
    project().write(Object.fromEntries(named) as Record<string, string>);
    const args = [VITE, "build", "--target", "es2022", "--base", "./"];
    const folder = join(project().folder, name);
    await runSuccessfully(process.execPath, args, { cwd: folder });
    symlinkSync(DEFAULT_IMAGE_FOLDER, join(folder, "dist/guest"));
    await using server = await serveFolder(join(folder, "dist"));
    const page = await browser!.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(server.url);
    await use(page);
    expect(problems).toEqual([]);
    await page.close();
  }

  it("give an emulator of one's own a network", async (ctx) => {
    const code = fillIn(exampleWith("card.").replace(`"${EXAMPLE_RELAY}"`, '"RELAY"'), {
      '"RELAY"': JSON.stringify(relayUrl()),
    });
    // The card that the example speaks of: what it receives is kept, what the test gives it is sent.
    const main = `globalThis.card = { frames: [], receive(frame) { this.frames.push(frame); }, resume() {} };
      await import("./example.js");
      const { REQUEST } = await import("./exchange.js");
      const status = card.onSend(REQUEST);
      const isArp = (frame) => frame[12] === 8 && frame[13] === 6;
      while (!card.frames.some(isArp)) await new Promise((resolve) => setTimeout(resolve, 5));
      const answer = card.frames.find(isArp);
      document.title = status + " " + answer.subarray(28, 32).join(".");`;
    const exchange = readFileSync(EXCHANGE, "utf8");
    const files = { "main.js": main, "example.js": code, "exchange.js": exchange };
    await withPage(ctx, "own", files, async (page) => {
      await expect.poll(() => page.title(), { timeout: 60_000 }).toBe("true 10.0.2.2");
    });
  });

  /** The v86 example with a guest that is restored, has a lease, and is asked by `ask(number, request)`; `rest` follows it. */
  function mainWithGuest(ctx: TestContext, rest: string): string {
    needsGuest(ctx);
    const stampPath = join(DEFAULT_IMAGE_FOLDER, STATE.stamp);
    if (!existsSync(stampPath)) ctx.skip(`${STATE.stamp} was not made: the guest was booted`);
    const { machine } = JSON.parse(readFileSync(stampPath, "utf8")) as { machine: object };
    // The example names the card itself.
    const options = `...${JSON.stringify({ ...machine, net_device: undefined })}, wasm_path: v86Wasm, autostart: true,
      preserve_mac_from_state_image: true, disable_keyboard: true, disable_mouse: true, disable_speaker: true,
      initial_state: { url: "guest/${STATE.state}" },`;
    const code = fillIn(exampleWith("new V86("), {
      "/* … */": options,
      [EXAMPLE_RELAY]: relayUrl(),
    });
    return `import v86Wasm from "v86/build/v86.wasm?url";
      ${code}
      let answers = "";
      emulator.add_listener("serial1-output-byte", (byte) => { answers += String.fromCharCode(byte); });
      await new Promise((resolve) => emulator.add_listener("emulator-loaded", resolve));
      const ask = async (id, request) => {
        const line = id + " " + request + "\\n";
        emulator.serial_send_bytes(1, new TextEncoder().encode(line));
        while (!answers.includes(id + " exit ")) await new Promise((resolve) => setTimeout(resolve, 20));
      };
      await ask(101, "mac 52:54:00:12:34:56");
      await ask(102, "net");
      ${rest}`;
  }

  it("give v86 a network: a lease, and a page of a server behind the relay", async (ctx) => {
    const wget = `wget -qO- http://10.0.2.2:${String(port)}/`;
    const main = mainWithGuest(
      ctx,
      `await ask(103, "capture " + btoa(${JSON.stringify(wget)}));
      document.title = answers;`,
    );
    await withPage(ctx, "v86", { "main.js": main }, async (page) => {
      await expect.poll(() => page.title(), { timeout: 120_000 }).toContain("103 exit");
      const answers = await page.title();
      expect(answers).toContain("10.0.2.15");
      expect(answers).toContain(Buffer.from("read me\n").toString("base64"));
    });
  });

  it("reach into the guest, and show its web server in an iframe", async (ctx) => {
    const serve = "mkdir -p /tmp/www; echo from the guest >/tmp/www/index.html; httpd -h /tmp/www";
    const main = mainWithGuest(
      ctx,
      `await ask(103, "capture " + btoa(${JSON.stringify(serve)}));
      ${fillIn(exampleWith("slirp.fetch("), { "port: 22": "port: 80" })}
      const writer = writable.getWriter();
      await writer.write(new TextEncoder().encode("GET / HTTP/1.0\\r\\n\\r\\n"));
      const { value } = await readable.getReader().read();
      const head = new TextDecoder().decode(value).split("\\r\\n")[0];
      const iframe = document.body.appendChild(document.createElement("iframe"));
      ${exampleWith("serveGuest(")}
      await new Promise((resolve) => { iframe.onload = resolve; });
      const shown = iframe.contentDocument.body.innerText;
      document.title = [await response.text(), head, shown].map((text) => text.trim()).join("|");`,
    );
    const files = {
      "main.js": `import { serveGuest } from "slirp-wasm/browser";\n${main}`,
      "public/worker.js": await bundledServiceWorker(),
    };
    await withPage(ctx, "reach", files, async (page) => {
      await expect.poll(() => page.title(), { timeout: 120_000 }).toContain("|");
      const [fetched, head, shown] = (await page.title()).split("|");
      expect(fetched).toBe("from the guest");
      expect(head).toMatch(/^HTTP\/1\.[01] 200 /);
      expect(shown).toBe("from the guest");
    });
  });

  /** The service worker of one line that README's text has. */
  async function bundledServiceWorker(): Promise<string> {
    const [, line = ""] = /one line \(`(import .*?;)`\)/s.exec(README) ?? [];
    expect(line).toContain("installGuestBridge();");
    const { outputFiles } = await build({
      stdin: { contents: line, resolveDir: project().folder },
      bundle: true,
      format: "esm",
      write: false,
    });
    return outputFiles[0]?.text ?? "";
  }
});
