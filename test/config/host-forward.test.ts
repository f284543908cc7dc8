import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ipAddress, ipEndpoint } from "../../src/address.js";
import { parseHostForward, parseHostForwards } from "../../src/config/index.js";
import { formatHostForward, type HostForward } from "../../src/slirp-options.js";
import { hostForward, textOf } from "./arbitraries.js";
import { expectAnswerOrRefusal, expectRefusal } from "./expect-refusal.js";

const forwardToGuest = { guestAddress: undefined, guestFamily: 4, guestPort: 22 } as const;

function tcp(host: HostForward["host"], guest: Partial<HostForward> = {}): HostForward {
  return { protocol: "tcp", host, ...forwardToGuest, ...guest };
}

function udp(host: HostForward["host"], guest: Partial<HostForward> = {}): HostForward {
  return { ...tcp(host, guest), protocol: "udp" };
}

describe("parseHostForward", () => {
  it.each([
    ["tcp::2222-:22", tcp(ipEndpoint("0.0.0.0", 2222))],
    ["udp::53-:22", udp(ipEndpoint("0.0.0.0", 53))],
    ["::2222-:22", tcp(ipEndpoint("0.0.0.0", 2222))],
    ["tcp:127.0.0.1:2222-:22", tcp(ipEndpoint("127.0.0.1", 2222))],
    ["tcp::0-:22", tcp(ipEndpoint("0.0.0.0", 0))],
    ["tcp::-:22", tcp(ipEndpoint("0.0.0.0", 0))],
    ["tcp:127.0.0.1:-:22", tcp(ipEndpoint("127.0.0.1", 0))],
    ["tcp::65535-:65535", tcp(ipEndpoint("0.0.0.0", 65535), { guestPort: 65535 })],
    [
      "tcp:127.0.0.1:2222-10.0.2.15:22",
      tcp(ipEndpoint("127.0.0.1", 2222), { guestAddress: ipAddress("10.0.2.15") }),
    ],
    ["tcp::2222-0.0.0.0:22", tcp(ipEndpoint("0.0.0.0", 2222))],
    ["tcp:[::1]:2222-:22", tcp(ipEndpoint("::1", 2222))],
    ["tcp:[]:2222-:22", tcp(ipEndpoint("::", 2222))],
    ["tcp:[fe80::1%eth0]:2222-:22", tcp(ipEndpoint("fe80::1%eth0", 2222))],
    ["tcp:[fe80::1%br-lan]:2222-:22", tcp(ipEndpoint("fe80::1%br-lan", 2222))],
    ["tcp:[fe80::1%3]:2222-:22", tcp(ipEndpoint("fe80::1%3", 2222))],
    ["tcp::2222-[]:22", tcp(ipEndpoint("0.0.0.0", 2222), { guestFamily: 6 })],
    ["tcp::2222-[::]:22", tcp(ipEndpoint("0.0.0.0", 2222), { guestFamily: 6 })],
    [
      "udp:127.0.0.1:2222-[fec0::15]:22",
      udp(ipEndpoint("127.0.0.1", 2222), { guestAddress: ipAddress("fec0::15"), guestFamily: 6 }),
    ],
    [
      "tcp:[::]:2222-[FEC0:0::15]:22",
      tcp(ipEndpoint("::", 2222), { guestAddress: ipAddress("fec0::15"), guestFamily: 6 }),
    ],
    ["unix:/run/ssh.sock-:22", tcp({ family: "unix", path: "/run/ssh.sock" })],
    ["unix:/run/my-ssh-1:2-:22", tcp({ family: "unix", path: "/run/my-ssh-1:2" })],
    [
      "unix:/run/a;b,c-10.0.2.16:22",
      tcp({ family: "unix", path: "/run/a;b,c" }, { guestAddress: ipAddress("10.0.2.16") }),
    ],
    [
      "unix:/run/ssh.sock-[]:22",
      tcp({ family: "unix", path: "/run/ssh.sock" }, { guestFamily: 6 }),
    ],
  ])("reads %s", (rule, forward) => {
    expect(parseHostForward(rule)).toEqual(forward);
  });

  it.each([
    // rule, column, what was found, what would be right
    ["", 1, "a host forward is missing", "[tcp|udp]:[host address]:host port-"],
    ["tcp", 4, 'after "tcp" there is no ":"', "[tcp|udp]:"],
    ["sctp::80-:80", 1, 'the protocol is "sctp"', 'write "tcp", "udp" or "unix"'],
    ["TCP::80-:80", 1, 'the protocol is "TCP"', 'write "tcp", "udp" or "unix"'],
    [" tcp::80-:80", 1, 'the protocol is " tcp"', 'write "tcp", "udp" or "unix"'],
    ["8080-:80", 1, 'the protocol is "8080-"', 'write "tcp", "udp" or "unix"'],
    ["tcp::80x-:80", 6, 'the host port is "80x"', "write a decimal number from 0 to 65535"],
    ["tcp::0x50-:80", 6, 'the host port is "0x50"', "write a decimal number from 0 to 65535"],
    ["tcp::+80-:80", 6, 'the host port is "+80"', "write a decimal number from 0 to 65535"],
    ["tcp:: 80-:80", 6, 'the host port is " 80"', "write a decimal number from 0 to 65535"],
    ["tcp::080-:80", 6, 'the host port is "080"', "write a decimal number from 0 to 65535"],
    ["tcp::8.5-:80", 6, 'the host port is "8.5"', "write a decimal number from 0 to 65535"],
    ["tcp::65536-:80", 6, "the host port is 65536, which is out of range", "from 0 to 65535"],
    ["tcp::80-:65536", 10, "the guest port is 65536, which is out of range", "from 1 to 65535"],
    ["tcp::80-:0", 10, "the guest port is 0, which is out of range", "from 1 to 65535"],
    ["tcp::80-:", 10, "the guest port is missing", "from 1 to 65535"],
    ["tcp::80-:80 ", 10, 'the guest port is "80 "', "from 1 to 65535"],
    ["tcp::80-", 9, 'the guest part "" has no ":"', 'write "address:port"'],
    ["tcp::80-80", 9, 'the guest part "80" has no ":"', 'write "address:port"'],
    ["tcp::80:80", 5, 'there is no "-" between host and guest', "host port-[guest address]"],
    ["tcp:80-:80", 5, 'the host part "80" has no ":"', 'write "address:port"'],
    ["tcp:localhost:80-:80", 5, '"localhost", which is not an address (names are', "IPv4 address"],
    ["tcp:my-host:80-:80", 5, 'the host address is "my-host"', "write an IPv4 address"],
    ["tcp::80-my-guest:80", 9, 'the guest address is "my-guest"', "write an IPv4 address"],
    ["tcp:127.1:80-:80", 5, 'the host address is "127.1"', "four decimal numbers"],
    ["tcp:127.0.0.01:80-:80", 5, '"127.0.0.01"', "without leading zeros"],
    ["tcp:::1:80-:80", 5, 'the host part "::1:80" has more than one ":"', "in brackets"],
    ["tcp::80-fec0::2:80", 9, 'the guest part "fec0::2:80" has more than one', "in brackets"],
    ["tcp:[::1:80-:80", 5, 'lacks its "]"', "in brackets"],
    ["tcp:[::1]80-:80", 10, 'stands "80", not ":port"', "in brackets"],
    ["tcp:[127.0.0.1]:80-:80", 6, "which is an IPv4 address", "write an IPv6 address"],
    ["tcp:[::g]:80-:80", 6, 'the host address is "::g"', "write an IPv6 address"],
    ["tcp:[fe80::1%]:80-:80", 14, 'the zone is ""', "name or index of an interface"],
    ["tcp:[%eth0]:80-:80", 6, "the host address is missing", "write an IPv6 address"],
    ["tcp::80-[fe80::1%eth0]:80", 10, "has a zone", "write an IPv6 address"],
    ["tcp:127.0.0.1%lo:80-:80", 5, "has a zone", "write an IPv4 address"],
    ["unix:run/a-:22", 6, 'does not begin with "/"', "write an absolute path"],
    ["unix:-:22", 6, 'the host path "" does not', "write an absolute path"],
    ["unix:/run/a", 6, 'there is no "-" between path and guest', "unix:/path-"],
    ["unix:/run/a-b", 13, 'the guest part "b" has no ":"', 'write "address:port"'],
    ["unix:/run/a:22", 6, 'there is no "-" between path and guest', "unix:/path-"],
    ["unix:/a\0b-:22", 6, "has a NUL character", "write an absolute path"],
    [`unix:/${"é".repeat(60)}-:22`, 6, "is 121 bytes long", "at most 107 bytes"],
    ["tcp::80\n-:80", 6, 'the host port is "80\\n"', "write a decimal number"],
  ])("refuses %j at column %i", (rule, column, found, remedy) => {
    const place = `host forward ${JSON.stringify(rule)}, column ${String(column)}: `;
    expectRefusal(() => parseHostForward(rule), [place, found, remedy]);
  });

  it("counts columns in characters, not in UTF-16 units", () => {
    expectRefusal(() => parseHostForward("unix:/run/🐧-x:22"), ["column 13: ", '"x"']);
  });

  it("refuses what is not text at all", () => {
    expectRefusal(() => parseHostForward(80 as unknown as string), ["host forward", "number"]);
  });

  it("reads back every rule as it was printed", () => {
    fc.assert(
      fc.property(hostForward, (forward) => {
        expect(parseHostForward(formatHostForward(forward))).toEqual(forward);
      }),
      { numRuns: 2000 },
    );
  });

  it("prints what it reads in one form only", () => {
    expect(formatHostForward(parseHostForward(":0.0.0.0:-0.0.0.0:80"))).toBe("tcp::0-:80");
    expect(formatHostForward(parseHostForward("udp:[]:1-[::]:2"))).toBe("udp:[::]:1-[]:2");
    expect(formatHostForward(parseHostForward("unix:/a-b-:2"))).toBe("unix:/a-b-:2");
  });

  it("answers or throws a SlirpError, whatever it is given", () => {
    const text = textOf("tcp", "udp", "unix", ":", "-", "[", "]", "%", "/", "1.2.3.4", "::1", "80");
    fc.assert(
      fc.property(text, (rule) => {
        expectAnswerOrRefusal(() => parseHostForward(rule));
        expectAnswerOrRefusal(() => parseHostForwards(rule));
      }),
      { numRuns: 3000 },
    );
  });

  it("means the same by every way of writing a rule and by its printed form", () => {
    const host = fc.constantFrom(
      "",
      "0.0.0.0",
      "127.0.0.1",
      "[]",
      "[::]",
      "[::1]",
      "[fe80::1%a-b]",
    );
    const guest = fc.constantFrom("", "0.0.0.0", "10.0.2.15", "[]", "[::]", "[FEC0::0:15]");
    const written = fc
      .tuple(fc.constantFrom("tcp", "udp", ""), host, fc.constantFrom("", "0", "80"), guest)
      .map(([protocol, address, port, to]) => `${protocol}:${address}:${port}-${to}:22`);
    fc.assert(
      fc.property(written, (rule) => {
        const forward = parseHostForward(rule);
        expect(parseHostForward(formatHostForward(forward))).toEqual(forward);
      }),
    );
  });
});

describe("parseHostForwards", () => {
  const ssh = parseHostForward("tcp::2222-:22");
  const dns = parseHostForward("udp:127.0.0.1:53-:53");

  it("reads rules joined by semicolons, in order", () => {
    expect(parseHostForwards("tcp::2222-:22;udp:127.0.0.1:53-:53")).toEqual([ssh, dns]);
    expect(parseHostForwards("tcp::2222-:22")).toEqual([ssh]);
  });

  it("reads a list, whose entries may be joined ones", () => {
    expect(parseHostForwards(["tcp::2222-:22", "udp:127.0.0.1:53-:53"])).toEqual([ssh, dns]);
    expect(parseHostForwards(["tcp::2222-:22;udp:127.0.0.1:53-:53"])).toEqual([ssh, dns]);
    expect(parseHostForwards([])).toEqual([]);
  });

  it.each([
    ["tcp::2222-:22;", 15, "a host forward is missing"],
    [";tcp::2222-:22", 1, "a host forward is missing"],
    ["tcp::2222-:22;tcp::80x-:80", 20, 'the host port is "80x"'],
    ["", 1, "a host forward is missing"],
  ])("points into the whole of %j at column %i", (rules, column, found) => {
    const place = `host forward ${JSON.stringify(rules)}, column ${String(column)}: `;
    expectRefusal(() => parseHostForwards(rules), [place, found]);
    expectRefusal(() => parseHostForwards([rules]), [place, found]);
  });
});
