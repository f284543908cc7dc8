/**
 * What a guest is kept from, by `slirp-wasm netns` and by Debian's slirp4netns: the host's loopback (`--disable-host-loopback`) and its name
 * servers (`--disable-dns`), by either version of IP; and that it has both where nothing is said.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { OURS, PROGRAMS, waitForIpv6, type StartOptions } from "../support/netns-program.js";
import { useNetnsWorld } from "../support/use-netns-world.js";

/** What the guest finds the host's loopback and name server at. */
const VERSIONS = [
  { version: 4, loopback: "127.0.0.1", gateway: "10.0.2.2", nameServer: "10.0.2.3" },
  { version: 6, loopback: "::1", gateway: "[fd00::2]", nameServer: "fd00::3" },
] as const;

/** What listens at ::1 would be reached without any name server: all of fd00::/64 leads there. */
const RESOLVER = "127.0.53.1";
const NAMES = { "guest.test": { a: "192.0.2.9" } };

describe.skipIf(WHY_NO_NAMESPACES !== undefined).each(PROGRAMS)(
  "a namespace by $name",
  (program) => {
    const world = useNetnsWorld();
    let guest: GuestNamespace;
    let folder: string;

    beforeEach(() => {
      ({ guest, folder } = world());
    });

    async function start(words: readonly string[], options: StartOptions = {}): Promise<void> {
      await world().startFor(program, ["--configure", "--enable-ipv6", ...words], options);
      await waitForIpv6(guest);
    }

    /** The program sees another /etc/resolv.conf. */
    const withResolver = (words: readonly string[]): string[] => {
      const path = join(folder, "resolv.conf");
      writeFileSync(path, `nameserver ${RESOLVER}\n`);
      const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
      return ["unshare", "--mount", "sh", "-c", script, path, ...words];
    };

    const askName = (server: string): Promise<string> =>
      guest.runScript(`
        import { Resolver } from "node:dns/promises";
        const resolver = new Resolver({ timeout: 2000, tries: 2 });
        resolver.setServers(["${server}"]);
        console.log(await resolver.resolve4("guest.test").catch((error) => error.code));`);

    describe.each(VERSIONS)("over IPv$version", ({ version, loopback, gateway, nameServer }) => {
      it("reaches the host's loopback", async () => {
        await using server = await HostHttpServer.start(loopback);
        await start([]);
        const url = `http://${gateway}:${String(server.port)}/random/10/x`;
        const line = ["curl", "-sf", "--globoff", "--max-time", "30", "-o", "/dev/null", url];
        expect(await guest.status(...line)).toBe(0);
      });

      it("does not with --disable-host-loopback", async () => {
        await using server = await HostHttpServer.start(loopback);
        await start(["--disable-host-loopback"]);
        const url = `http://${gateway}:${String(server.port)}/random/10/x`;
        const line = ["curl", "-sf", "--globoff", "--max-time", "3", "-o", "/dev/null", url];
        expect(await guest.status(...line)).not.toBe(0);
        expect(server.requests).toEqual([]);
      });

      // slirp4netns asks a resolver only over the version that the guest asks over.
      if (version === 6 && program !== OURS) return;

      it("has names looked up", async () => {
        await using resolver = await DnsResolver.start(RESOLVER, NAMES, 53);
        await start([], { wrap: withResolver });
        expect(await askName(nameServer)).toContain("192.0.2.9");
        expect(resolver.asked("guest.test", "udp").length).toBeGreaterThan(0);
      });

      it("has not with --disable-dns", async () => {
        await using resolver = await DnsResolver.start(RESOLVER, NAMES, 53);
        await start(["--disable-dns"], { wrap: withResolver });
        expect(await askName(nameServer)).not.toContain("192.0.2.9");
        expect(resolver.questions).toEqual([]);
      });
    });
  },
);
