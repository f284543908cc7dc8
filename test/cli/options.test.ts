/**
 * What is written on the command line, read.
 */
import { describe, expect, it } from "vitest";
import { readListenAddress, readNetworkFlags, readSeconds } from "../../src/cli/options.js";
import { ErrorCode } from "../../src/errors.js";
import { formatHostForward } from "../../src/slirp-options.js";

describe("--listen", () => {
  it.each([
    ["unix:/run/net.sock", { kind: "stream", address: { path: "/run/net.sock" } }],
    ["unix:C:odd:path", { kind: "stream", address: { path: "C:odd:path" } }],
    ["tcp:127.0.0.1:1234", { kind: "stream", address: { host: "127.0.0.1", port: 1234 } }],
    ["tcp:localhost:0", { kind: "stream", address: { host: "localhost", port: 0 } }],
    ["tcp:[::1]:65535", { kind: "stream", address: { host: "::1", port: 65_535 } }],
    ["udp:127.0.0.1:9", { kind: "datagram", address: { host: "127.0.0.1", port: 9 } }],
  ])("reads %s", (text, address) => {
    expect(readListenAddress(text, false)).toEqual(address);
  });

  it.each([
    ["", 1],
    ["unix:", 6],
    ["tcp:", 5],
    ["tcp:1234", 5],
    ["tcp::1234", 5],
    ["tcp:::1:1234", 5],
    ["tcp:[]:1234", 5],
    ["tcp:localhost:", 15],
    ["tcp:localhost:0x10", 15],
    ["tcp:localhost:65536", 15],
    ["TCP:localhost:1", 1],
  ])("refuses %j and points at column %i", (text, column) => {
    expect(() => readListenAddress(text, false)).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(`column ${String(column)}:`) as string,
      }),
    );
  });

  it("takes --dgram for udp: alone", () => {
    expect(readListenAddress("udp:127.0.0.1:9", true).kind).toBe("datagram");
    expect(() => readListenAddress("tcp:127.0.0.1:9", true)).toThrow(/udp:HOST:PORT/);
    expect(() => readListenAddress("unix:/x", true)).toThrow(
      expect.objectContaining({ code: ErrorCode.unsupportedOption }),
    );
  });
});

describe("--timeout", () => {
  it.each([
    ["1", 1000],
    ["0.5", 500],
    [".25", 250],
    ["2.", 2000],
    ["0.0001", 1],
  ])("reads %s", (text, timeoutMs) => {
    expect(readSeconds("--timeout", text)).toBe(timeoutMs);
  });

  it.each(["0", "-1", "", "1s", "1e3", "NaN", "Infinity", "9999999", " 1"])(
    "refuses %j",
    (text) => {
      expect(() => readSeconds("--timeout", text)).toThrow(
        expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
      );
    },
  );
});

describe("--netdev and --hostfwd", () => {
  it("are put together, in order", () => {
    const options = readNetworkFlags({
      netdev: "user,hostname=box,hostfwd=tcp:127.0.0.1:1-:1",
      hostfwd: ["udp:127.0.0.1:2-:2", "tcp:127.0.0.1:3-:3;tcp:127.0.0.1:4-:4"],
    });
    expect(options.hostname).toBe("box");
    expect(options.hostForwards?.map(formatHostForward)).toEqual([
      "tcp:127.0.0.1:1-:1",
      "udp:127.0.0.1:2-:2",
      "tcp:127.0.0.1:3-:3",
      "tcp:127.0.0.1:4-:4",
    ]);
  });

  it("may both be left out", () => {
    expect(readNetworkFlags({})).toEqual({});
  });
});
