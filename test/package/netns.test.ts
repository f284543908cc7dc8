/** `slirp-wasm netns` as the installed package has it: without the checkout, and without what set-up made there. */
import { renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { runProgram } from "../house/scratch.js";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { NATIVE_FILES, NATIVE_FOLDER, whyNoNativeFiles } from "../support/native-files.js";
import { NetnsProcess } from "../support/netns-program.js";
import { runSuccessfully, shareInstalledProject } from "./installed-project.js";

describe("netns of the installed package", () => {
  const project = shareInstalledProject();
  const command = (): string => join(project().folder, "node_modules/.bin/slirp-wasm");
  const native = (name: string): string =>
    join(project().folder, "node_modules/slirp-wasm", NATIVE_FOLDER, name);

  /** The command under the name of the program whose place it takes. */
  function linkSlirp4netns(): string {
    const link = join(project().folder, "slirp4netns");
    rmSync(link, { force: true });
    symlinkSync(command(), link);
    return link;
  }

  function skipWithout(context: TestContext, missing: string | undefined): void {
    if (missing !== undefined) context.skip(missing);
  }

  it("tells its version and libslirp's, under either name", async () => {
    const { stdout } = await runSuccessfully(command(), ["netns", "--version"]);
    expect(stdout).toMatch(/^slirp-wasm version \d+\.\d+\.\d+, in place of slirp4netns$/m);
    expect(stdout).toMatch(/^libslirp: \d+\.\d+\.\d+/m);
    expect((await runSuccessfully(linkSlirp4netns(), ["--version"])).stdout).toBe(stdout);
  });

  it("has its native files, and the program among them can be run", (context) => {
    skipWithout(context, whyNoNativeFiles());
    for (const name of NATIVE_FILES) expect(statSync(native(name)).size).toBeGreaterThan(0);
    expect(statSync(native("netns-helper")).mode & 0o111).toBe(0o111);
  });

  for (const confinement of [[], ["--enable-sandbox", "--enable-seccomp"]]) {
    it(`gives a namespace a network, confined: [${confinement.join(" ")}]`, async (context) => {
      skipWithout(context, whyNoNativeFiles() ?? WHY_NO_NAMESPACES);
      await using guest = await GuestNamespace.create();
      await using server = await HostHttpServer.start();
      const program = { name: "the installed slirp4netns", path: linkSlirp4netns() };
      const words = ["--configure", ...confinement, String(guest.pid), "tap0"];
      await using running = await NetnsProcess.start(program, words);
      const file = server.randomFile("installed", 2_000_000);
      const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
      const script = `curl -sS --max-time 60 ${url} | sha256sum`;
      expect((await guest.run("sh", "-c", script)).slice(0, 64)).toBe(file.sha256);
      running.hangUp();
      expect((await running.ended()).status).toBe(0);
    });
  }

  it("names its program where that is not to be had, and where it was looked for", async (context) => {
    skipWithout(context, whyNoNativeFiles() ?? WHY_NO_NAMESPACES);
    await using guest = await GuestNamespace.create();
    const [path, aside] = [native("netns-helper"), native("aside")];
    renameSync(path, aside);
    try {
      const words = ["netns", "--configure", String(guest.pid), "tap0"];
      const { status, stderr } = await runProgram(command(), words);
      expect(status).toBe(1);
      expect(stderr).toContain("the program netns-helper for ");
      expect(stderr).toContain(`${NATIVE_FOLDER}/netns-helper is not there`);
    } finally {
      renameSync(aside, path);
    }
  });
});
