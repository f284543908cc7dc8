import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ipAddress, ipEndpoint } from "../../src/address.js";
import { parseGuestForward } from "../../src/config/index.js";
import { ErrorCode } from "../../src/errors.js";
import { formatGuestForward, type GuestForward } from "../../src/slirp-options.js";
import { guestForward, textOf } from "./arbitraries.js";
import { expectAnswerOrRefusal, expectRefusal } from "./expect-refusal.js";

function server(target: GuestForward["target"]): GuestForward {
  return { serverAddress: ipAddress("10.0.2.100"), serverPort: 80, target };
}

describe("parseGuestForward", () => {
  it.each([
    [
      "tcp:10.0.2.100:80-tcp:127.0.0.1:8080",
      server({ kind: "connect", endpoint: ipEndpoint("127.0.0.1", 8080) }),
    ],
    [
      ":10.0.2.100:80-tcp:[::1]:8080",
      server({ kind: "connect", endpoint: ipEndpoint("::1", 8080) }),
    ],
    [
      "tcp:10.0.2.100:80-unix:/run/my-web:1.sock",
      server({ kind: "connect", endpoint: { family: "unix", path: "/run/my-web:1.sock" } }),
    ],
    [
      "tcp:10.0.2.100:80-unix:/run/a,,b",
      server({ kind: "connect", endpoint: { family: "unix", path: "/run/a,b" } }),
    ],
    [
      "tcp:10.0.2.100:80-cmd:/bin/netcat -q 1 10.0.0.1 80, again",
      server({ kind: "command", commandLine: "/bin/netcat -q 1 10.0.0.1 80, again" }),
    ],
  ])("reads %s", (rule, forward) => {
    expect(parseGuestForward(rule)).toEqual(forward);
  });

  it.each([
    ["", 1, "a guest forward is missing", "[tcp]:server:port-"],
    ["tcp", 4, 'after "tcp" there is no ":"', "[tcp]:server:port-"],
    ["udp:10.0.2.100:80-cmd:cat", 1, 'the protocol is "udp"', 'write "tcp" or nothing'],
    ["tcp:10.0.2.100:80", 5, 'there is no "-" between server and target', "-tcp:address:port"],
    ["tcp:10.0.2.100-cmd:cat", 5, 'the server part "10.0.2.100" has no ":"', "address:port"],
    ["tcp::80-cmd:cat", 5, "the server address is missing", "write an IPv4 address"],
    ["tcp:web:80-cmd:cat", 5, 'the server address is "web"', "write an IPv4 address"],
    ["tcp:[fec0::9]:80-cmd:cat", 6, "which is an IPv6 address", "write an IPv4 address"],
    ["tcp:10.0.2.100:0-cmd:cat", 16, "the server port is 0", "from 1 to 65535"],
    ["tcp:10.0.2.100:-cmd:cat", 16, "the server port is missing", "from 1 to 65535"],
    ["tcp:10.0.2.100:80x-cmd:cat", 16, 'the server port is "80x"', "from 1 to 65535"],
    ["tcp:10.0.2.100:80-cmd:", 23, 'the command is ""', "write a command line"],
    ["tcp:10.0.2.100:80-cmd:a\0b", 23, "the command is", "without NUL"],
    ["tcp:10.0.2.100:80-", 19, 'the target is ""', '"cmd:command"'],
    ["tcp:10.0.2.100:80-8080", 19, 'the target is "8080"', '"tcp:address:port"'],
    ["tcp:10.0.2.100:80-tpc:1.2.3.4:1", 19, 'the target is "tpc:1.2.3.4:1"', '"tcp:address:port"'],
    ["tcp:10.0.2.100:80-tcp:web:80", 23, "names are not looked up", "write an IPv4 address"],
    ["tcp:10.0.2.100:80-tcp:1.2.3.4:0", 31, "the target port is 0", "from 1 to 65535"],
    ["tcp:10.0.2.100:80-unix:web", 24, 'does not begin with "/"', "write an absolute path"],
  ])("refuses %j at column %i", (rule, column, found, remedy) => {
    const place = `guest forward ${JSON.stringify(rule)}, column ${String(column)}: `;
    expectRefusal(() => parseGuestForward(rule), [place, found, remedy]);
  });

  it.each([
    ["stdio", 19, '"stdio"'],
    ["pty", 19, '"pty"'],
    ["file:/tmp/log", 19, '"file"'],
    ["udp:1.2.3.4:5", 19, '"udp"'],
    ["telnet:1.2.3.4:5", 19, '"telnet"'],
    ["/dev/ttyS0", 19, '"/dev/ttyS0"'],
    ["chardev:c0", 19, '"chardev"'],
    ["tcp:1.2.3.4:5,nodelay=on", 33, '"nodelay=on"'],
    ["unix:/run/a,server=on,wait=off", 31, '"server=on,wait=off"'],
  ])("refuses QEMU's %s by name", (target, column, name) => {
    const place = `, column ${String(column)}: `;
    expectRefusal(
      () => parseGuestForward(`tcp:10.0.2.100:80-${target}`),
      [place, name],
      ErrorCode.unsupportedOption,
    );
  });

  it("reads back every rule as it was printed", () => {
    fc.assert(
      fc.property(guestForward, (forward) => {
        expect(parseGuestForward(formatGuestForward(forward))).toEqual(forward);
      }),
      { numRuns: 2000 },
    );
  });

  it("answers or throws a SlirpError, whatever it is given", () => {
    const text = textOf("tcp", "unix", "cmd", ":", "-", "[", "]", "/", ",", "1.2.3.4", "::1", "80");
    fc.assert(
      fc.property(text, (rule) => {
        expectAnswerOrRefusal(() => parseGuestForward(rule));
      }),
      { numRuns: 3000 },
    );
  });
});
