/** Command lines as getopt_long(3) reads them. */
import { describe, expect, it } from "vitest";
import { readCommandLine } from "../../src/cli/netns/getopt-long.js";

const KNOWN = [
  { name: "configure", short: "c", hasValue: false },
  { name: "mtu", short: "m", hasValue: true },
  { name: "outbound-addr", hasValue: true },
  { name: "outbound-addr6", hasValue: true },
];

/** Options as one text, and the other words. */
function read(...words: string[]): [string, readonly string[]] {
  const { options, words: rest } = readCommandLine(words, KNOWN);
  return [options.map(({ name, value }) => `${name}=${value}`).join(" "), rest];
}

describe("readCommandLine", () => {
  it("reads letters in one word, the value behind its letter", () => {
    expect(read("-cm1400", "1")).toEqual(["configure= mtu=1400", ["1"]]);
    expect(read("-cm", "1400", "1")).toEqual(["configure= mtu=1400", ["1"]]);
  });

  it("takes a value behind an equals sign or in the next word, whatever that looks like", () => {
    expect(read("--mtu=1400", "--mtu", "-c")).toEqual(["mtu=1400 mtu=-c", []]);
    expect(read("--mtu=")).toEqual(["mtu=", []]);
  });

  it("takes an abbreviation of one option, and a whole name that begins another", () => {
    expect(read("--conf", "--outbound-addr", "1")).toEqual(["configure= outbound-addr=1", []]);
  });

  it("finds options behind other words, but not behind --", () => {
    expect(read("1", "-c", "tap0")).toEqual(["configure=", ["1", "tap0"]]);
    expect(read("1", "--", "-c", "--mtu")).toEqual(["", ["1", "-c", "--mtu"]]);
    expect(read("-", "-c")).toEqual(["configure=", ["-"]]);
  });

  it.each([
    [
      ["--outbound"],
      "option '--outbound' is ambiguous; possibilities: '--outbound-addr' '--outbound-addr6'",
    ],
    [["-cx"], "invalid option -- 'x'"],
    [["--configure=1"], "option '--configure' doesn't allow an argument"],
  ])("refuses %j", (words, message) => {
    expect(() => read(...words)).toThrow(message);
  });
});
