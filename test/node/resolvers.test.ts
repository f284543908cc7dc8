import { getServers, setServers } from "node:dns";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatEndpoint, ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { ErrorCode } from "../../src/errors.js";
import { dnsServerSource, parseDnsServer } from "../../src/node/dns-servers.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { parseResolvConf } from "../../src/node/resolv-conf.js";

const texts = (servers: readonly IpEndpoint[]): string[] => servers.map(formatEndpoint);

describe("resolv.conf", () => {
  it("names servers in their order, both IP versions, zones included", () => {
    const text = [
      "# made by hand",
      "search example.org",
      "nameserver 192.0.2.1",
      "nameserver\t2001:db8::1   # comment",
      "nameserver fe80::1%eth0",
      "options edns0",
    ].join("\n");
    expect(texts(parseResolvConf(text))).toEqual([
      "192.0.2.1:53",
      "[2001:db8::1]:53",
      "[fe80::1%eth0]:53",
    ]);
  });

  it("passes over what is not an address, and comments", () => {
    const lines = [
      "nameserver dns.example.org",
      "nameserver 192.0.2.300",
      "nameserver 192.0.2.1%eth0",
      "nameserver fe80::1%",
      "nameserver",
      " nameserver 192.0.2.7",
      "#nameserver 192.0.2.8",
      ";nameserver 192.0.2.9",
      "nameservers 192.0.2.10",
      "nameserver 192.0.2.11\r",
    ];
    expect(texts(parseResolvConf(lines.join("\n")))).toEqual(["192.0.2.11:53"]);
  });

  it("counts three servers at most, as glibc does", () => {
    const text = [1, 2, 3, 4].map((n) => `nameserver 192.0.2.${String(n)}\n`).join("");
    expect(texts(parseResolvConf(text))).toHaveLength(3);
  });
});

describe("the resolvers", () => {
  let folder = "";
  let path = "";
  let nowMs = 0;
  const ofNode = getServers();

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "resolv-conf-"));
    path = join(folder, "resolv.conf");
    nowMs = 0;
  });

  afterEach(() => {
    setServers(ofNode);
    rmSync(folder, { recursive: true });
  });

  const source = (): (() => readonly IpEndpoint[]) => dnsServerSource(undefined, path, () => nowMs);

  it("follow the file, once a second", () => {
    writeFileSync(path, "nameserver 192.0.2.1\n");
    const servers = source();
    expect(texts(servers())).toEqual(["192.0.2.1:53"]);
    writeFileSync(path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
    nowMs = 999;
    expect(texts(servers())).toEqual(["192.0.2.1:53"]);
    nowMs = 1000;
    expect(texts(servers())).toEqual(["192.0.2.1:53", "192.0.2.2:53"]);
  });

  it("are the same object while the file is the same", () => {
    writeFileSync(path, "nameserver 192.0.2.1\n");
    const servers = source();
    const first = servers();
    nowMs = 5000;
    expect(servers()).toBe(first);
  });

  it("follow a link that is led elsewhere, and a file that is replaced", () => {
    writeFileSync(join(folder, "one"), "nameserver 192.0.2.1\n");
    writeFileSync(join(folder, "two"), "nameserver 192.0.2.2\n");
    symlinkSync("one", path);
    const servers = source();
    expect(texts(servers())).toEqual(["192.0.2.1:53"]);
    symlinkSync("two", join(folder, "next"));
    renameSync(join(folder, "next"), path);
    nowMs = 2000;
    expect(texts(servers())).toEqual(["192.0.2.2:53"]);
    writeFileSync(join(folder, "three"), "nameserver 192.0.2.3\n");
    renameSync(join(folder, "three"), join(folder, "two"));
    nowMs = 4000;
    expect(texts(servers())).toEqual(["192.0.2.3:53"]);
  });

  it("are Node's where the file is missing or names none, and come back with it", () => {
    setServers(["192.0.2.50", "[2001:db8::50]:5353"]);
    const servers = source();
    expect(texts(servers())).toEqual(["192.0.2.50:53", "[2001:db8::50]:5353"]);
    writeFileSync(path, "search example.org\n");
    nowMs = 2000;
    expect(texts(servers())).toEqual(["192.0.2.50:53", "[2001:db8::50]:5353"]);
    writeFileSync(path, "nameserver 192.0.2.1\n");
    nowMs = 4000;
    expect(texts(servers())).toEqual(["192.0.2.1:53"]);
    rmSync(path);
    nowMs = 6000;
    expect(servers()).toHaveLength(2);
  });

  it("are the machine itself where nobody knows any", () => {
    setServers([]);
    expect(texts(source()())).toEqual(["127.0.0.1:53"]);
  });

  it("are those that the user names, and no others", async () => {
    const network = createNodeHostNetwork({
      dnsServers: ["192.0.2.1", "[2001:db8::1]:5353", ipEndpoint("127.0.0.1", 1053)],
    });
    expect(texts(network.dnsServers())).toEqual([
      "192.0.2.1:53",
      "[2001:db8::1]:5353",
      "127.0.0.1:1053",
    ]);
    await network.close();
    expect(createNodeHostNetwork({ dnsServers: [] }).dnsServers()).toEqual([]);
  });

  it("are read where the option says", () => {
    writeFileSync(path, "nameserver 192.0.2.77\n");
    const network = createNodeHostNetwork({ resolvConfPath: path });
    expect(texts(network.dnsServers())).toEqual(["192.0.2.77:53"]);
  });
});

describe("the text of a resolver", () => {
  it("may have a port and a zone", () => {
    const forms = {
      "192.0.2.1": "192.0.2.1:53",
      "192.0.2.1:1": "192.0.2.1:1",
      "::1": "[::1]:53",
      "[::1]:65535": "[::1]:65535",
      "fe80::1%eth0": "[fe80::1%eth0]:53",
      "[fe80::1%eth0]:5353": "[fe80::1%eth0]:5353",
    };
    for (const [text, meant] of Object.entries(forms)) {
      expect(formatEndpoint(parseDnsServer(text))).toBe(meant);
    }
  });

  it("is refused, by name, where it is not an address", () => {
    const wrong = ["", "dns.example.org", "192.0.2", "192.0.2.1:0", "192.0.2.1:65536", "[::1]"];
    wrong.push("192.0.2.1:", "[::1]:", "fe80::1%", "192.0.2.1%eth0", "::1]:53", "192.0.2.1:53x");
    for (const text of wrong) {
      expect(() => parseDnsServer(text), text).toThrow(`DNS server "${text}"`);
    }
    expect(() => createNodeHostNetwork({ dnsServers: ["nowhere"] })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});
