import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ipAddress } from "../../src/address.js";
import {
  parseBhyveSlirp,
  parseGuestForward,
  parseHostForward,
  parseNetdev,
  parseNetdevUser,
  resolveSlirpOptions,
} from "../../src/config/index.js";
import { ErrorCode } from "../../src/errors.js";
import { textOf } from "./arbitraries.js";
import { expectAnswerOrRefusal, expectRefusal } from "./expect-refusal.js";

const ssh = parseHostForward("tcp::2222-:22");
const dns = parseHostForward("udp:127.0.0.1:53-:53");

describe("parseNetdevUser", () => {
  it.each([
    ["user", {}],
    ["user,id=net0", {}],
    ["user,hostname=guest", { hostname: "guest" }],
    ["user,restrict=on", { restricted: true }],
    ["user,restrict=off", { restricted: false }],
    ["user,restrict=yes", { restricted: true }],
    ["user,restrict=no", { restricted: false }],
    ["user,restrict=true", { restricted: true }],
    ["user,restrict=false", { restricted: false }],
    ["user,restrict=y", { restricted: true }],
    ["user,restrict=n", { restricted: false }],
    ["user,ipv4=off", { ipv4: false }],
    ["user,ipv6=off", { ipv6: false }],
    // QEMU's rule: what is not spoken of is on, unless the other one is asked for.
    ["user,ipv4=on", { ipv6: false }],
    ["user,ipv6=on", { ipv4: false }],
    ["user,ipv4=on,ipv6=on", {}],
    [
      "user,net=192.168.76.0/24",
      { ipv4: { network: ipAddress("192.168.76.0"), prefixLength: 24 } },
    ],
    [
      "user,net=192.168.76.0/255.255.255.0",
      { ipv4: { network: ipAddress("192.168.76.0"), prefixLength: 24 } },
    ],
    ["user,net=10.0.0.0/255.0.0.0", { ipv4: { network: ipAddress("10.0.0.0"), prefixLength: 8 } }],
    [
      "user,net=10.0.2.1/255.255.255.255",
      { ipv4: { network: ipAddress("10.0.2.1"), prefixLength: 32 } },
    ],
    ["user,net=0.0.0.0/0.0.0.0", { ipv4: { network: ipAddress("0.0.0.0"), prefixLength: 0 } }],
    // QEMU's classes.
    ["user,net=10.0.0.0", { ipv4: { network: ipAddress("10.0.0.0"), prefixLength: 8 } }],
    ["user,net=172.16.0.0", { ipv4: { network: ipAddress("172.16.0.0"), prefixLength: 12 } }],
    ["user,net=172.32.0.0", { ipv4: { network: ipAddress("172.32.0.0"), prefixLength: 16 } }],
    ["user,net=192.168.0.0", { ipv4: { network: ipAddress("192.168.0.0"), prefixLength: 16 } }],
    ["user,net=198.18.0.0", { ipv4: { network: ipAddress("198.18.0.0"), prefixLength: 15 } }],
    ["user,host=10.0.2.9", { ipv4: { gateway: ipAddress("10.0.2.9") } }],
    ["user,dns=10.0.2.8", { ipv4: { nameServer: ipAddress("10.0.2.8") } }],
    ["user,dhcpstart=10.0.2.20", { ipv4: { dhcpStart: ipAddress("10.0.2.20") } }],
    ["user,ipv6-prefix=fd00::", { ipv6: { prefix: ipAddress("fd00::") } }],
    ["user,ipv6-prefixlen=64", { ipv6: { prefixLength: 64 } }],
    ["user,ipv6-net=fd00::", { ipv6: { prefix: ipAddress("fd00::"), prefixLength: 64 } }],
    ["user,ipv6-net=fd00::/48", { ipv6: { prefix: ipAddress("fd00::"), prefixLength: 48 } }],
    ["user,ipv6-host=fec0::9", { ipv6: { gateway: ipAddress("fec0::9") } }],
    ["user,ipv6-dns=fec0::8", { ipv6: { nameServer: ipAddress("fec0::8") } }],
    ["user,domainname=example.org", { domainName: "example.org" }],
    ["user,dnssearch=a.example,dnssearch=b.example", { dnsSearch: ["a.example", "b.example"] }],
    ["user,tftp=/srv/tftp,bootfile=a.0", { tftpRoot: "/srv/tftp", bootFile: "a.0" }],
    ["user,tftp=/srv/a,,b=c,bootfile=a.0", { tftpRoot: "/srv/a,b=c", bootFile: "a.0" }],
    ["user,tftp=/srv/a,,,bootfile=a.0", { tftpRoot: "/srv/a,", bootFile: "a.0" }],
    ["user,tftp-server-name=boot.example", { tftpServerName: "boot.example" }],
    ["user,hostfwd=tcp::2222-:22", { hostForwards: [ssh] }],
    ["user,hostfwd=tcp::2222-:22,hostfwd=udp:127.0.0.1:53-:53", { hostForwards: [ssh, dns] }],
    [
      "user,guestfwd=tcp:10.0.2.9:80-tcp:127.0.0.1:8080",
      { guestForwards: [parseGuestForward("tcp:10.0.2.9:80-tcp:127.0.0.1:8080")] },
    ],
    [
      "user,guestfwd=:10.0.2.9:80-cmd:echo a,,b,guestfwd=:10.0.2.9:81-unix:/a,,,,b",
      {
        guestForwards: [
          parseGuestForward(":10.0.2.9:80-cmd:echo a,b"),
          parseGuestForward(":10.0.2.9:81-unix:/a,,b"),
        ],
      },
    ],
    ["user,mtu=9000,mru=2000", { mtuBytes: 9000, mruBytes: 2000 }],
    [
      "user,outbound-addr=192.0.2.1,outbound-addr6=2001:db8::1",
      { outboundAddress: ipAddress("192.0.2.1"), outboundAddress6: ipAddress("2001:db8::1") },
    ],
    [
      "user,disable-host-loopback=on,disable-dns=on,disable-dhcp=on",
      { disableHostLoopback: true, disableDns: true, disableDhcp: true },
    ],
  ])("reads %s", (netdev, options) => {
    expect(parseNetdevUser(netdev)).toEqual(options);
  });

  it.each([
    ["user,", 6, "an option is missing", "name=value"],
    ["user,id=n0,", 12, "an option is missing", "name=value"],
    ["user,,id=n0", 6, "an option is missing", "name=value"],
    ["user,id=a,,restrict=on", 9, 'the id is "a,restrict=on"', "write a letter, then"],
    ["userx", 1, "it does not begin with user", '"user,name=value'],
    ["tap,ifname=tap0", 1, "it does not begin with user", '"user,name=value'],
    ["user,hostfw=tcp::1-:1", 6, 'there is no option "hostfw"', 'write "hostfwd"'],
    ["user,dhcp-start=10.0.2.20", 6, 'there is no option "dhcp-start"', 'write "dhcpstart"'],
    ["user,Net=10.0.2.0/24", 6, 'there is no option "Net"', 'write "net"'],
    ["user,__proto__=1", 6, 'there is no option "__proto__"', "write one of id, ipv4"],
    ["user,qqqqqqqq=1", 6, 'there is no option "qqqqqqqq"', "write one of id, ipv4"],
    ["user,id=a,id=b", 11, 'the option "id" is there twice', "leave one of them out"],
    ["user,restrict", 6, 'the option "restrict" has no value', 'write "restrict=on"'],
    ["user,net", 6, 'the option "net" has no value', 'write "net=10.0.2.0/24"'],
    ["user,restrict=1", 15, 'the value is "1"', '"on", "yes", "true", "y", "off"'],
    ["user,restrict=ON", 15, 'the value is "ON"', '"on", "yes", "true", "y", "off"'],
    ["user,id=0net", 9, 'the id is "0net"', "write a letter, then"],
    ["user,hostname=", 15, "the value is empty", "leave the option out"],
    ["user,net=10.0.2.0/33", 19, "the prefix length is 33", "from 0 to 32"],
    ["user,net=10.0.2.0/", 19, "the prefix length is missing", "from 0 to 32"],
    ["user,net=10.0.2/24", 10, 'the network is "10.0.2"', "write an IPv4 address"],
    ["user,net=10.0.2.0/255.0.255.0", 19, "has ones behind zeros", '"255.255.255.0"'],
    ["user,net=10.0.2.0", 10, "10.0.2.0 means a /8 by its class", '"10.0.2.0/24"'],
    ["user,net=203.0.113.0", 10, "no class to tell it", '"203.0.113.0/24"'],
    ["user,host=gateway", 11, 'the gateway\'s address is "gateway"', "write an IPv4 address"],
    ["user,dns=::1", 10, "which is an IPv6 address", "write an IPv4 address"],
    ["user,ipv6-net=fd00::/129", 22, "the prefix length is 129", "from 0 to 128"],
    ["user,ipv6-dns=10.0.2.3", 15, "which is an IPv4 address", "write an IPv6 address"],
    ["user,ipv6-net=fd00::,ipv6-prefixlen=64", 22, 'says again what "ipv6-net"', "leave one"],
    ["user,ipv6-prefix=fd00::,ipv6-net=fd00::", 6, 'says again what "ipv6-net"', "leave one"],
    ["user,net=10.0.2.0/24,ipv4=off", 6, "is there while IPv4 is off", 'add "ipv4=on"'],
    ["user,ipv6=on,dns=10.0.2.3", 14, "is there while IPv4 is off", 'add "ipv4=on"'],
    ["user,ipv4=on,ipv6-host=fec0::9", 14, "is there while IPv6 is off", 'add "ipv6=on"'],
    ["user,mtu=67", 10, "the packet size in bytes is 67", "from 68 to 65521"],
    ["user,mtu=1500B", 10, 'is "1500B"', "from 68 to 65521"],
    ["user,outbound-addr=eth0", 20, 'the outbound address is "eth0"', "write an IPv4 address"],
    ["user,id=a,hostfwd=tcp::80x-:80", 24, 'the host port is "80x"', "from 0 to 65535"],
    ["user,hostfwd=tcp::1-:1;udp::2-:2", 21, 'the guest part ":1;udp::2-:2"', "address:port"],
    ["user,tftp=/a,,b,hostfwd=tcp::80x-:80", 30, 'the host port is "80x"', "from 0 to 65535"],
    ["user,hostfwd=unix:/a,,,,b-x", 27, 'the guest part "x"', "address:port"],
    ["user,guestfwd=tcp:10.0.2.9:0-cmd:cat", 28, "the server port is 0", "from 1 to 65535"],
  ])("refuses %j at column %i", (netdev, column, found, remedy) => {
    const place = `netdev ${JSON.stringify(netdev)}, column ${String(column)}: `;
    expectRefusal(() => parseNetdevUser(netdev), [place, found, remedy]);
  });

  it.each(["smb=/srv", "smbserver=10.0.2.4", "guestfwd=:10.0.2.9:80-stdio"])(
    "refuses %s by name, since its working part is not there",
    (option) => {
      const name = option.startsWith("smb") ? `"${option.split("=")[0] ?? ""}"` : '"stdio"';
      expectRefusal(
        () => parseNetdevUser(`user,${option}`),
        [name, "column "],
        ErrorCode.unsupportedOption,
      );
    },
  );

  it("answers or throws a SlirpError, whatever it is given", () => {
    const text = textOf(
      ",",
      ",,",
      "=",
      "net=",
      "1.2.3.0/24",
      "hostfwd=",
      "tcp::1-:1",
      "ipv6=",
      "on",
    );
    fc.assert(
      fc.property(text, (rest) => {
        expectAnswerOrRefusal(() => parseNetdevUser(`user,${rest}`));
        expectAnswerOrRefusal(() => parseNetdevUser(rest));
      }),
      { numRuns: 3000 },
    );
  });

  it("carries any text through when its commas are doubled", () => {
    const value = fc.string({ minLength: 1 });
    fc.assert(
      fc.property(value, value, (tftpRoot, bootFile) => {
        const [tftp, file] = [tftpRoot, bootFile].map((each) => each.replaceAll(",", ",,"));
        const netdev = `user,tftp=${tftp ?? ""},bootfile=${file ?? ""}`;
        expect(parseNetdevUser(netdev)).toEqual({ tftpRoot, bootFile });
      }),
      { numRuns: 1000 },
    );
  });
});

describe("parseBhyveSlirp", () => {
  it.each([
    ["slirp", { ipv6: false, restricted: true }],
    ["slirp,open", { ipv6: false, restricted: false }],
    ["slirp,open=true", { ipv6: false, restricted: false }],
    ["slirp,open=no", { ipv6: false, restricted: true }],
    ["slirp,hostfwd=tcp::2222-:22", { ipv6: false, restricted: true, hostForwards: [ssh] }],
    [
      "slirp,open,hostfwd=tcp::2222-:22;udp:127.0.0.1:53-:53",
      { ipv6: false, restricted: false, hostForwards: [ssh, dns] },
    ],
  ])("reads %s with bhyve's defaults", (backend, options) => {
    expect(parseBhyveSlirp(backend)).toEqual(options);
  });

  it.each([
    ["slirpx", 1, "it does not begin with slirp", 'write "slirp"'],
    ["slirp,", 7, "an option is missing", "name=value"],
    ["slirp,oepn", 7, 'there is no option "oepn"', 'write "open"'],
    ["slirp,open,open", 12, 'the option "open" is there twice', "leave one of them out"],
    ["slirp,open=maybe", 12, 'the value is "maybe"', '"true", "on"'],
    ["slirp,hostfwd", 7, 'the option "hostfwd" has no value', "hostfwd=tcp::8080-:80"],
    ["slirp,hostfwd=", 15, "a host forward is missing", "[tcp|udp]:"],
    ["slirp,hostfwd=tcp::1-:1;sctp::2-:2", 25, 'the protocol is "sctp"', '"tcp", "udp"'],
    ["slirp,hostfwd=tcp::1-:1,,open", 25, "an option is missing", "name=value"],
  ])("refuses %j at column %i", (backend, column, found, remedy) => {
    const place = `backend ${JSON.stringify(backend)}, column ${String(column)}: `;
    expectRefusal(() => parseBhyveSlirp(backend), [place, found, remedy]);
  });

  it.each(["mac=00:11:22:33:44:55", "mtu=9000"])("refuses %s, which is the NIC's", (option) => {
    const name = `"${option.slice(0, 3)}"`;
    const pieces = [name, "column 7", "leave it out"];
    expectRefusal(() => parseBhyveSlirp(`slirp,${option}`), pieces, ErrorCode.unsupportedOption);
  });

  it("answers or throws a SlirpError, whatever it is given", () => {
    const text = textOf("slirp", ",", "open", "=", "hostfwd=", "tcp::1-:1", ";", "on");
    fc.assert(
      fc.property(text, (rest) => {
        expectAnswerOrRefusal(() => parseBhyveSlirp(`slirp,${rest}`));
        expectAnswerOrRefusal(() => parseNetdev(rest));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("parseNetdev", () => {
  it("tells the two kinds apart by the word before the first comma", () => {
    expect(parseNetdev("user,restrict=on")).toEqual({ restricted: true });
    expect(parseNetdev("user")).toEqual({});
    expect(parseNetdev("slirp,open")).toEqual({ ipv6: false, restricted: false });
    expect(parseNetdev("slirp")).toEqual({ ipv6: false, restricted: true });
  });

  it.each([
    ["userx", 'there is no network of the kind "userx"'],
    ["userx,id=a", 'there is no network of the kind "userx"'],
    ["User", 'there is no network of the kind "User"'],
    ["slirpd,open", 'there is no network of the kind "slirpd"'],
    ["tap,ifname=tap0", 'there is no network of the kind "tap"'],
    ["", 'there is no network of the kind ""'],
    [",restrict=on", 'there is no network of the kind ""'],
  ])("refuses %j", (netdev, found) => {
    const pieces = [`netdev ${JSON.stringify(netdev)}, column 1: `, found, '"user,…"', '"slirp,…"'];
    expectRefusal(() => parseNetdev(netdev), pieces);
  });

  it("gives options that resolve: a QEMU line with all of them", () => {
    const netdev =
      "user,id=n0,net=192.168.76.0/24,host=192.168.76.1,dns=192.168.76.2,dhcpstart=192.168.76.9," +
      "ipv6-net=fd00::/64,ipv6-host=fd00::1,ipv6-dns=fd00::2,hostname=guest,domainname=a.example," +
      "dnssearch=a.example,dnssearch=b.example,tftp=/srv,tftp-server-name=boot,bootfile=a.0," +
      "hostfwd=tcp:127.0.0.1:2222-:22,guestfwd=tcp:192.168.76.4:80-cmd:cat,mtu=9000";
    const resolved = resolveSlirpOptions(parseNetdev(netdev));
    expect(resolved).toMatchObject({
      ipv4: { gateway: ipAddress("192.168.76.1"), dhcpStart: ipAddress("192.168.76.9") },
      ipv6: { gateway: ipAddress("fd00::1"), nameServer: ipAddress("fd00::2") },
      hostname: "guest",
      mtuBytes: 9000,
      mruBytes: 9000,
    });
    expect(resolved.hostForwards).toHaveLength(1);
    expect(resolved.guestForwards).toHaveLength(1);
  });
});
