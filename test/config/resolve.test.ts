import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ipAddress, ipAddressFromBytes, type IpAddress } from "../../src/address.js";
import {
  parseGuestForward,
  parseHostForward,
  parseHostForwards,
  resolveSlirpOptions,
} from "../../src/config/index.js";
import type { Ipv4Options, Ipv6Options, SlirpOptions } from "../../src/slirp-options.js";
import { ipv4, ipv6 } from "./arbitraries.js";
import { expectRefusal, refusalOf } from "./expect-refusal.js";

function network(text: string, rest: Partial<Ipv4Options> = {}): SlirpOptions {
  const [address = "", length = ""] = text.split("/");
  return { ipv4: { network: ipAddress(address), prefixLength: Number(length), ...rest } };
}

function addresses(options: SlirpOptions): string[] {
  const { ipv4: resolved } = resolveSlirpOptions(options);
  if (!resolved) throw new Error("IPv4 is off");
  return [resolved.gateway, resolved.nameServer, resolved.dhcpStart].map(({ address }) => address);
}

function numberOf({ bytes }: IpAddress): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

describe("resolveSlirpOptions: defaults", () => {
  it("are QEMU's network and an MTU of 1500, with everything else off", () => {
    expect(resolveSlirpOptions()).toEqual({
      ipv4: {
        network: ipAddress("10.0.2.0"),
        prefixLength: 24,
        gateway: ipAddress("10.0.2.2"),
        nameServer: ipAddress("10.0.2.3"),
        dhcpStart: ipAddress("10.0.2.15"),
      },
      ipv6: {
        prefix: ipAddress("fec0::"),
        prefixLength: 64,
        gateway: ipAddress("fec0::2"),
        nameServer: ipAddress("fec0::3"),
      },
      restricted: false,
      disableHostLoopback: false,
      disableDns: false,
      disableDhcp: false,
      enableEmu: false,
      hostname: undefined,
      domainName: undefined,
      dnsSearch: [],
      tftpRoot: undefined,
      tftpServerName: undefined,
      bootFile: undefined,
      mtuBytes: 1500,
      mruBytes: 1500,
      outboundAddress: undefined,
      outboundAddress6: undefined,
      ncsiManufacturerId: 0,
      ncsiOutOfBandMac: new Uint8Array(6),
      hostForwards: [],
      guestForwards: [],
    });
  });

  it.each([
    ["192.168.76.0/24", ["192.168.76.2", "192.168.76.3", "192.168.76.15"]],
    ["172.16.0.0/16", ["172.16.2.2", "172.16.2.3", "172.16.2.15"]],
    ["10.0.0.0/8", ["10.0.2.2", "10.0.2.3", "10.0.2.15"]],
    ["192.168.1.64/26", ["192.168.1.66", "192.168.1.67", "192.168.1.79"]],
    // QEMU's 15 would be the broadcast address here.
    ["192.168.1.64/28", ["192.168.1.66", "192.168.1.67", "192.168.1.68"]],
    ["192.168.1.64/29", ["192.168.1.66", "192.168.1.67", "192.168.1.68"]],
  ])("have the same host numbers in %s", (text, expected) => {
    expect(addresses(network(text))).toEqual(expected);
  });

  it("leave DHCP a free address in small networks", () => {
    const rest = { gateway: ipAddress("192.168.1.5"), nameServer: ipAddress("192.168.1.6") };
    expect(addresses(network("192.168.1.0/29", rest))[2]).toBe("192.168.1.1");
    const outside = { nameServer: ipAddress("9.9.9.9") };
    expect(addresses(network("192.168.1.0/30", outside))[2]).toBe("192.168.1.1");
  });

  it("switch one IP version off and leave the other as it is", () => {
    expect(resolveSlirpOptions({ ipv4: false })).toMatchObject({ ipv4: undefined, mtuBytes: 1500 });
    expect(resolveSlirpOptions({ ipv6: false }).ipv6).toBeUndefined();
  });

  it("take the MTU for the MRU, but never less than 1500", () => {
    expect(resolveSlirpOptions({ mtuBytes: 9000 }).mruBytes).toBe(9000);
    expect(resolveSlirpOptions({ mtuBytes: 1280 }).mruBytes).toBe(1500);
    expect(resolveSlirpOptions({ mtuBytes: 9000, mruBytes: 68 }).mruBytes).toBe(68);
  });

  it("put gateway and name server of another IPv6 prefix at 2 and 3", () => {
    const options = { ipv6: { prefix: ipAddress("fd12:3456:789a:1::") } };
    expect(resolveSlirpOptions(options).ipv6).toMatchObject({
      gateway: ipAddress("fd12:3456:789a:1::2"),
      nameServer: ipAddress("fd12:3456:789a:1::3"),
    });
  });

  it("let the name server lie outside the network, since the gateway leads there", () => {
    const options = {
      ipv4: { nameServer: ipAddress("9.9.9.9") },
      ipv6: { nameServer: ipAddress("2620:fe::fe") },
    };
    const resolved = resolveSlirpOptions(options);
    expect(resolved.ipv4?.nameServer.address).toBe("9.9.9.9");
    expect(resolved.ipv6?.nameServer.address).toBe("2620:fe::fe");
  });

  it("copy what can be written to", () => {
    const dnsSearch = ["a.example"];
    const ncsiOutOfBandMac = Uint8Array.of(2, 0, 0, 0, 0, 1);
    const resolved = resolveSlirpOptions({ dnsSearch, ncsiOutOfBandMac });
    dnsSearch.push("b.example");
    ncsiOutOfBandMac[5] = 9;
    expect(resolved.dnsSearch).toEqual(["a.example"]);
    expect(resolved.ncsiOutOfBandMac).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 1));
  });
});

describe("resolveSlirpOptions: networks", () => {
  const at4 = (rest: Partial<Ipv4Options>): SlirpOptions => ({ ipv4: rest });
  const at6 = (rest: Partial<Ipv6Options>): SlirpOptions => ({ ipv6: rest });

  it.each<[string, SlirpOptions, string[]]>([
    ["both versions off", { ipv4: false, ipv6: false }, ["ipv4, ipv6", "switch one on"]],
    ["host bits", network("10.0.2.5/24"), ["ipv4.network", "10.0.2.5/24", "choose 10.0.2.0/24"]],
    ["a prefix that is too long", network("10.0.2.0/31"), ["ipv4.prefixLength", "31", "4 to 30"]],
    ["a prefix that is too short", network("0.0.0.0/3"), ["ipv4.prefixLength", "3", "4 to 30"]],
    ["half a prefix", network("10.0.2.0/24.5"), ["ipv4.prefixLength", "24.5", "4 to 30"]],
    ["loopback", network("127.0.0.0/24"), ["ipv4.network", "127.0.0.0/8", "private"]],
    [
      "a network around loopback",
      network("112.0.0.0/4"),
      ["ipv4.network", "127.0.0.0/8", "private"],
    ],
    ["multicast", network("239.0.0.0/24"), ["ipv4.network", "multicast", "private"]],
    ["this network", network("0.1.0.0/16"), ["ipv4.network", "0.0.0.0/8", "private"]],
    [
      "a gateway outside",
      at4({ gateway: ipAddress("10.0.3.2") }),
      ["ipv4.gateway", "10.0.3.2 is outside the network 10.0.2.0/24", "10.0.2.1 to 10.0.2.254"],
    ],
    [
      "the network address as gateway",
      at4({ gateway: ipAddress("10.0.2.0") }),
      ["ipv4.gateway", "the network address of 10.0.2.0/24", "10.0.2.1 to"],
    ],
    [
      "the broadcast address as gateway",
      at4({ gateway: ipAddress("10.0.2.255") }),
      ["ipv4.gateway", "the broadcast address of 10.0.2.0/24", "10.0.2.1 to"],
    ],
    [
      "gateway = name server",
      at4({ nameServer: ipAddress("10.0.2.2") }),
      ["ipv4.nameServer", "10.0.2.2 is the gateway's address, too", "choose different"],
    ],
    [
      "gateway = default name server",
      at4({ gateway: ipAddress("10.0.2.3") }),
      ["ipv4.nameServer", "10.0.2.3 is the gateway's address, too", "choose different"],
    ],
    [
      "a broadcast address as name server",
      at4({ nameServer: ipAddress("10.0.2.255") }),
      ["ipv4.nameServer", "the broadcast address", "10.0.2.1 to"],
    ],
    [
      "no room for a name server",
      network("10.0.2.0/30"),
      ["ipv4.nameServer", "10.0.2.3", "broadcast"],
    ],
    [
      "no room for a guest",
      network("10.0.2.0/30", { gateway: ipAddress("10.0.2.1"), nameServer: ipAddress("10.0.2.2") }),
      ["ipv4.prefixLength", "10.0.2.0/30 has no address left for a guest", "choose 29 or less"],
    ],
    [
      "a name server outside a restricted network",
      { restricted: true, ...at4({ nameServer: ipAddress("9.9.9.9") }) },
      ["ipv4.nameServer", "9.9.9.9 is outside the network", "10.0.2.1 to"],
    ],
    [
      "a loopback name server",
      at4({ nameServer: ipAddress("127.0.0.53") }),
      ["ipv4.nameServer", "127.0.0.53 lies in loopback", "can send to"],
    ],
    [
      "a DHCP start outside",
      at4({ dhcpStart: ipAddress("10.0.3.15") }),
      ["ipv4.dhcpStart", "10.0.3.15 is outside the network", "10.0.2.1 to 10.0.2.254"],
    ],
    [
      "DHCP start = gateway",
      at4({ dhcpStart: ipAddress("10.0.2.2") }),
      ["ipv4.dhcpStart", "the gateway's address, too", "choose different"],
    ],
    [
      "DHCP start = name server",
      at4({ dhcpStart: ipAddress("10.0.2.3") }),
      ["ipv4.dhcpStart", "the name server's address, too", "choose different"],
    ],
    [
      "DHCP start = network address",
      at4({ dhcpStart: ipAddress("10.0.2.0") }),
      ["ipv4.dhcpStart", "the network address", "10.0.2.1 to"],
    ],
    [
      "DHCP start = broadcast address",
      at4({ dhcpStart: ipAddress("10.0.2.255") }),
      ["ipv4.dhcpStart", "the broadcast address", "10.0.2.1 to"],
    ],
    [
      "the default DHCP start as gateway",
      at4({ gateway: ipAddress("10.0.2.15") }),
      ["ipv4.dhcpStart", "10.0.2.15 is the gateway's address, too", "choose different"],
    ],
    ["IPv6 as IPv4 gateway", at4({ gateway: ipAddress("::1") }), ["ipv4.gateway", "not an IPv4"]],
    ["IPv6 as IPv4 network", at4({ network: ipAddress("::1") }), ["ipv4.network", "not an IPv4"]],
    [
      "another IPv6 prefix length",
      at6({ prefixLength: 48 }),
      ["ipv6.prefixLength", "48", "choose 64"],
    ],
    ["IPv6 host bits", at6({ prefix: ipAddress("fd00::1") }), ["ipv6.prefix", "choose fd00::"]],
    [
      "a link-local prefix",
      at6({ prefix: ipAddress("fe80::") }),
      ["ipv6.prefix", "link-local", "fd00::"],
    ],
    [
      "a multicast prefix",
      at6({ prefix: ipAddress("ff05::") }),
      ["ipv6.prefix", "multicast", "fd00::"],
    ],
    ["the zero prefix", at6({ prefix: ipAddress("::") }), ["ipv6.prefix", "loopback", "fd00::"]],
    ["IPv4 as prefix", at6({ prefix: ipAddress("10.0.0.0") }), ["ipv6.prefix", "not an IPv6"]],
    [
      "an IPv6 gateway outside",
      at6({ gateway: ipAddress("fd00::2") }),
      ["ipv6.gateway", "fd00::2 is outside the prefix fec0::/64", "fec0::9"],
    ],
    [
      "the prefix as IPv6 gateway",
      at6({ gateway: ipAddress("fec0::") }),
      ["ipv6.gateway", "all routers", "fec0::9"],
    ],
    [
      "IPv6 gateway = name server",
      at6({ gateway: ipAddress("fec0::3") }),
      ["ipv6.nameServer", "fec0::3 is the gateway's address, too", "choose different"],
    ],
    [
      "an IPv6 name server outside a restricted network",
      { restricted: true, ...at6({ nameServer: ipAddress("2620:fe::fe") }) },
      ["ipv6.nameServer", "outside the prefix", "fec0::9"],
    ],
    [
      "IPv4 as IPv6 name server",
      at6({ nameServer: ipAddress("10.0.2.3") }),
      ["ipv6.nameServer", "fec0::9"],
    ],
  ])("refuse %s", (_what, options, pieces) => {
    expectRefusal(() => resolveSlirpOptions(options), pieces);
  });

  it("have every address inside, and no two alike, whatever the network", () => {
    const options = fc.tuple(ipv4, fc.integer({ min: 4, max: 29 })).map(([address, length]) => {
      const first = (numberOf(address) & ~(0xffffffff >>> length)) >>> 0;
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, first);
      return { network: ipAddressFromBytes(bytes), prefixLength: length };
    });
    fc.assert(
      fc.property(options, (given) => {
        const first = numberOf(given.network);
        const last = (first | (0xffffffff >>> given.prefixLength)) >>> 0;
        // Reserved networks are refused, and the test above says so.
        fc.pre(first >= 2 ** 24 && last < 0xe0000000 && (last < 0x7f000000 || first > 0x7fffffff));
        const resolved = resolveSlirpOptions({ ipv4: given }).ipv4;
        if (!resolved) throw new Error("IPv4 is off");
        const { gateway, nameServer, dhcpStart } = resolved;
        const numbers = [gateway, nameServer, dhcpStart].map(numberOf);
        expect(numbers.every((number) => number > first && number < last)).toBe(true);
        expect(new Set(numbers).size).toBe(3);
        expect(resolved.network).toEqual(given.network);
      }),
      { numRuns: 2000 },
    );
  });

  it("have every IPv6 address inside the prefix", () => {
    fc.assert(
      fc.property(ipv6, (address) => {
        const bytes = address.bytes.slice();
        bytes.fill(0, 8);
        bytes[0] = 0xfd;
        const resolved = resolveSlirpOptions({ ipv6: { prefix: ipAddressFromBytes(bytes) } }).ipv6;
        for (const each of [resolved?.gateway, resolved?.nameServer]) {
          expect(each?.bytes.slice(0, 8)).toEqual(bytes.slice(0, 8));
        }
        expect(resolved?.gateway).not.toEqual(resolved?.nameServer);
      }),
    );
  });

  it("are what they were when they are resolved again", () => {
    const once = resolveSlirpOptions(network("192.168.1.64/28"));
    const { ipv4: four, ipv6: six } = once;
    expect(resolveSlirpOptions({ ipv4: four ?? false, ipv6: six ?? false })).toEqual(once);
  });
});

describe("resolveSlirpOptions: forwards", () => {
  const forwards = (...rules: string[]): SlirpOptions => ({
    hostForwards: parseHostForwards(rules),
  });
  const guests = (...rules: string[]): SlirpOptions => ({
    guestForwards: rules.map(parseGuestForward),
  });
  const plain = parseHostForward("tcp::80-:80");

  it("accept the same port of two protocols or addresses, and any number of free ones", () => {
    const options = forwards(
      "tcp::80-:80",
      "udp::80-:80",
      "tcp:127.0.0.1:80-:80",
      "tcp:[::1]:80-:80",
      "tcp:[::1%lo]:80-:80",
      "tcp::0-:80",
      "tcp::0-:80",
      "unix:/a-:80",
      "unix:/b-:80",
      "tcp::81-172.17.0.1:80",
    );
    expect(resolveSlirpOptions(options).hostForwards).toEqual(options.hostForwards);
  });

  it.each<[string, SlirpOptions, string[]]>([
    [
      "the same host port twice",
      forwards("tcp::80-:80", "udp::80-:80", "tcp:0.0.0.0:80-:81"),
      ["hostForwards[2]", "tcp::80-:81 is the second one at 0.0.0.0:80", "another host port"],
    ],
    [
      "the same unix socket twice",
      forwards("unix:/a-:80", "unix:/a-:81"),
      ["hostForwards[1]", "the second one at unix:/a", "leave one of them out"],
    ],
    [
      "IPv4 while it is off",
      { ipv4: false, ...forwards("tcp::80-:80") },
      ["hostForwards[0]", "by IPv4, which is off", '"[]:80"'],
    ],
    [
      "IPv6 while it is off",
      { ipv6: false, ...forwards("tcp::80-[]:80") },
      ["hostForwards[0]", "by IPv6, which is off", "switch IPv6 on"],
    ],
    [
      "the gateway as guest",
      forwards("tcp::80-10.0.2.2:80"),
      ["hostForwards[0]", "goes to the gateway", "a guest's address"],
    ],
    [
      "the IPv6 name server as guest",
      forwards("tcp::80-[fec0::3]:80"),
      ["hostForwards[0]", "goes to the name server", "a guest's address"],
    ],
    [
      "datagrams on a unix socket",
      { hostForwards: [{ ...plain, protocol: "udp", host: { family: "unix", path: "/a" } }] },
      ["hostForwards[0].protocol", "udp", 'choose "tcp"'],
    ],
    [
      "a family that is not the address's",
      { hostForwards: [{ ...plain, guestAddress: ipAddress("fec0::9") }] },
      ["hostForwards[0].guestFamily", "fec0::9", "choose 6"],
    ],
    [
      "guest port 0",
      { hostForwards: [{ ...plain, guestPort: 0 }] },
      ["hostForwards[0].guestPort", "it is 0", "1 to 65535"],
    ],
    [
      "a host port out of range",
      { hostForwards: [{ ...plain, host: { ...ipAddress("0.0.0.0"), port: 65536 } }] },
      ["hostForwards[0].host.port", "it is 65536", "0 to 65535"],
    ],
    [
      "a server outside the network",
      guests("tcp:10.0.3.9:80-cmd:cat"),
      ["guestForwards[0].serverAddress", "outside 10.0.2.0/24", "a free address in 10.0.2.0/24"],
    ],
    [
      "the gateway as server",
      guests("tcp:10.0.2.2:80-cmd:cat"),
      ["guestForwards[0].serverAddress", "10.0.2.2 is the gateway", "a free address"],
    ],
    [
      "the name server as server",
      guests("tcp:10.0.2.3:80-cmd:cat"),
      ["guestForwards[0].serverAddress", "is the name server", "a free address"],
    ],
    [
      "the guest's own address as server",
      guests("tcp:10.0.2.15:80-cmd:cat"),
      ["guestForwards[0].serverAddress", "first address that DHCP gives out", "a free address"],
    ],
    [
      "the broadcast address as server",
      guests("tcp:10.0.2.255:80-cmd:cat"),
      ["guestForwards[0].serverAddress", "broadcast", "a free address"],
    ],
    [
      "the same server port twice",
      guests("tcp:10.0.2.9:80-cmd:cat", "tcp:10.0.2.9:81-cmd:cat", "tcp:10.0.2.9:80-cmd:tac"),
      ["guestForwards[2]", "the second one at 10.0.2.9:80", "another server port"],
    ],
    [
      "a server while IPv4 is off",
      { ipv4: false, ...guests("tcp:10.0.2.9:80-cmd:cat") },
      ["guestForwards[0]", "is of IPv4, which is off", "switch IPv4 on"],
    ],
    [
      "a server port out of range",
      { guestForwards: [{ ...parseGuestForward(":10.0.2.9:80-cmd:cat"), serverPort: 0 }] },
      ["guestForwards[0].serverPort", "it is 0", "1 to 65535"],
    ],
  ])("refuse %s", (_what, options, pieces) => {
    expectRefusal(() => resolveSlirpOptions(options), pieces);
  });
});

describe("resolveSlirpOptions: the rest", () => {
  it.each<[string, SlirpOptions, string[]]>([
    ["an MTU below 68", { ipv6: false, mtuBytes: 67 }, ["mtuBytes", "67", "68 to 65521"]],
    ["an MTU above 65521", { mtuBytes: 65522 }, ["mtuBytes", "65522", "68 to 65521"]],
    ["an MTU that is no number", { mtuBytes: NaN }, ["mtuBytes", "NaN", "68 to 65521"]],
    ["an MTU too small for IPv6", { mtuBytes: 1279 }, ["mtuBytes", "1279", "1280 or more"]],
    ["an MRU below 68", { mruBytes: 67 }, ["mruBytes", "67", "68 to 65521"]],
    ["an empty host name", { hostname: "" }, ["hostname", "empty", "leave the option out"]],
    [
      "a long host name",
      { hostname: "a".repeat(33) },
      ["hostname", "33 bytes", "at most 32 bytes"],
    ],
    ["spaces in a host name", { hostname: "my guest" }, ["hostname", "my guest", "labels"]],
    ["NUL in a host name", { hostname: "a\0b" }, ["hostname", "a\\u0000b", "control characters"]],
    [
      "a bad domain name",
      { domainName: "a..b" },
      ["domainName", 'the label ""', "1 to 63 letters"],
    ],
    [
      "an empty search name",
      { dnsSearch: ["a", ""] },
      ["dnsSearch[1]", "empty", "leave the option"],
    ],
    [
      "a search name's empty label",
      { dnsSearch: [".a"] },
      ["dnsSearch[0]", 'the label ""', "dots"],
    ],
    [
      "a search name's long label",
      { dnsSearch: ["a", `${"b".repeat(64)}.c`] },
      ["dnsSearch[1]", "b".repeat(64), "1 to 63 letters"],
    ],
    ["a search name not in ASCII", { dnsSearch: ["bücher.example"] }, ["dnsSearch[0]", "bücher"]],
    [
      "a long search name",
      { dnsSearch: [Array(50).fill("abcde").join(".")] },
      ["dnsSearch[0]", "299 bytes", "at most 253 bytes"],
    ],
    [
      "more texts than DHCP's answer holds",
      { hostname: "a".repeat(32), domainName: Array(60).fill("abc").join(".") + ".example" },
      ["domainName, hostname", "bytes, and DHCP's answer has room for 274", "shorter or fewer"],
    ],
    [
      "a long boot file",
      { bootFile: "é".repeat(64) },
      ["bootFile", "128 bytes", "at most 127 bytes"],
    ],
    [
      "a long TFTP name",
      { tftpServerName: "a".repeat(256) },
      ["tftpServerName", "256", "at most 255"],
    ],
    ["an empty TFTP root", { tftpRoot: "" }, ["tftpRoot", "empty", "leave the option out"]],
    ["a MAC of 5 bytes", { ncsiOutOfBandMac: new Uint8Array(5) }, ["ncsiOutOfBandMac", "5", "6"]],
    ["a manufacturer id below 0", { ncsiManufacturerId: -1 }, ["ncsiManufacturerId", "-1", "0 to"]],
    [
      "an outbound address of the other version",
      { outboundAddress: ipAddress("::1") },
      ["outboundAddress", "::1 is not an IPv4 address", "one that the host has"],
    ],
    [
      "an outbound address of a version that is off",
      { ipv6: false, outboundAddress6: ipAddress("::1") },
      ["outboundAddress6", "::1 is there while IPv6 is off", "leave it out"],
    ],
  ])("refuses %s", (_what, options, pieces) => {
    expectRefusal(() => resolveSlirpOptions(options), pieces);
  });

  it("keeps all that is in order", () => {
    const options: SlirpOptions = {
      hostname: "a".repeat(32),
      domainName: "example.org",
      dnsSearch: ["example.org.", "_tcp.example.org"],
      tftpRoot: "/srv/tftp",
      tftpServerName: "10.0.2.2",
      bootFile: "a".repeat(127),
      mtuBytes: 65521,
      outboundAddress: ipAddress("192.0.2.1"),
      outboundAddress6: ipAddress("2001:db8::1"),
      ncsiManufacturerId: 0xffffffff,
      restricted: true,
      disableHostLoopback: true,
      disableDns: true,
      disableDhcp: true,
      enableEmu: true,
    };
    expect(resolveSlirpOptions(options)).toMatchObject(options);
    expect(resolveSlirpOptions({ ipv6: false, mtuBytes: 68 }).mtuBytes).toBe(68);
  });

  it("counts a search list as libslirp writes it: an end that stood before is a reference", () => {
    // 24 names of one domain: 24 * 26 bytes as text, 24 * (3 + 2) and one domain as references.
    const dnsSearch = Array.from(
      { length: 24 },
      (_, index) => `${String.fromCharCode(97 + index)}x.department.example.org`,
    );
    expect(resolveSlirpOptions({ dnsSearch }).dnsSearch).toHaveLength(24);
    const apart = dnsSearch.map((name, index) => name.replaceAll(".", `${String(index)}.`));
    expectRefusal(() => resolveSlirpOptions({ dnsSearch: apart }), ["room for 274", "fewer"]);
  });

  it("leaves more room for texts in a restricted network, which is told no gateway", () => {
    const labels = (count: number) => Array(count).fill("abc").join(".");
    const domainName = labels(63);
    const fill = (bytes: number) => "x".repeat(bytes);
    // 2 + 251 for the domain name and 2 + 19 for the other: 274, which is all there is.
    expect(resolveSlirpOptions({ domainName, tftpServerName: fill(19) }).domainName).toBe(
      domainName,
    );
    const over = { domainName, tftpServerName: fill(20) };
    expect(refusalOf(() => resolveSlirpOptions(over)).message).toContain("they need 275 bytes");
    expect(resolveSlirpOptions({ ...over, restricted: true }).restricted).toBe(true);
    // UEFI's HTTP boot is told by one more option.
    const http = { domainName, tftpServerName: fill(19), bootFile: "http://10.0.2.2/a" };
    expect(refusalOf(() => resolveSlirpOptions(http)).message).toContain("they need 286 bytes");
  });
});
