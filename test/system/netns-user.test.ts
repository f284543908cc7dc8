/**
 * `slirp-wasm netns` for an ordinary user, whose container has a user namespace around its network namespace. Nothing here is root's but
 * the making of a /dev/net/tun that everybody may open, as other systems have it.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostHttpServer } from "../support/host/http-server.js";
import { asNobody } from "../support/as-nobody.js";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { NetnsProcess, OURS, PROGRAMS } from "../support/netns-program.js";

describe.skipIf(WHY_NO_NAMESPACES !== undefined).each(PROGRAMS)(
  "an ordinary user's namespaces by $name",
  (program) => {
    let guest: GuestNamespace;

    beforeEach(async () => {
      guest = await GuestNamespace.create({ asUser: true });
    });

    afterEach(async () => {
      await guest.close();
    });

    it.each([
      ["process", () => [String(guest.pid), "tap0"]],
      [
        "paths",
        () => {
          const paths = [`--userns-path=${guest.path("user")}`, guest.path("net")];
          return ["--netns-type=path", ...paths, "tap0"];
        },
      ],
    ])("are found by %s, and reach the host's loopback", async (_how, place) => {
      await using server = await HostHttpServer.start();
      const words = ["--configure", "--mtu=65520", ...place()];
      await using process = await NetnsProcess.start(program, words, { wrap: asNobody });
      const file = server.randomFile("user", 100_000);
      const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
      const script = `curl -sS --max-time 30 ${url} | sha256sum`;
      expect((await guest.run("sh", "-c", script)).slice(0, 64)).toBe(file.sha256);
      process.hangUp();
      expect((await process.ended()).status).toBe(0);
    });
  },
);

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("an ordinary user", () => {
  for (const words of [[], ["--enable-sandbox", "--enable-seccomp"]]) {
    it(`is told when the interface is deleted, confined: [${words.join(" ")}]`, async () => {
      await using guest = await GuestNamespace.create({ asUser: true });
      const line = ["-c", ...words, String(guest.pid), "tap0"];
      await using process = await NetnsProcess.start(OURS, line, { wrap: asNobody });
      await guest.administer("ip", "link", "delete", "tap0");
      const { status, errorOutput } = await process.ended();
      expect(status).toBe(1);
      expect(errorOutput).toContain("tap:tap0 is gone");
    });
  }

  it.each(PROGRAMS)("is told by $name that another's namespace is not his", async (program) => {
    await using guest = await GuestNamespace.create();
    const words = ["--configure", String(guest.pid), "tap0"];
    const process = new NetnsProcess(program, words, { wrap: asNobody });
    expect(await process.readyText()).toBe("");
    const { status, errorOutput } = await process.ended();
    expect(status).toBe(1);
    expect(errorOutput).toMatch(/Permission denied|Operation not permitted/);
    expect(errorOutput).toContain("child failed(1)");
  });
});
