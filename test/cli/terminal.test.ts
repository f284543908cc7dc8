/**
 * What is typed, quoted and marked on the way to the guest's console and back.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MarkedOutput } from "../../src/cli/marked-output.js";
import { commandLine } from "../../src/cli/run.js";
import { EscapeKeys, quoteInput } from "../../src/cli/terminal.js";
import { errorText, oneLine } from "../../src/cli/logging.js";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("EscapeKeys", () => {
  it("passes everything on that has no Ctrl-] in it, Ctrl-C too", () => {
    const { forGuest, leaves } = new EscapeKeys().filter(bytesOf("ls x\r\u0003\u0004"));
    expect(textOf(forGuest)).toBe("ls x\r\u0003\u0004");
    expect(leaves).toBe(false);
  });

  it("leaves by Ctrl-] x, in one piece or two, and gives the guest what came before", () => {
    expect(new EscapeKeys().filter(bytesOf("ab\u001dxcd"))).toEqual({
      forGuest: bytesOf("ab"),
      leaves: true,
    });
    const keys = new EscapeKeys();
    expect(keys.filter(bytesOf("\u001d"))).toEqual({ forGuest: bytesOf(""), leaves: false });
    expect(keys.filter(bytesOf("x")).leaves).toBe(true);
  });

  it("gives the guest a Ctrl-] that is followed by another key, and one for two", () => {
    const keys = new EscapeKeys();
    expect(textOf(keys.filter(bytesOf("\u001da")).forGuest)).toBe("\u001da");
    expect(textOf(keys.filter(bytesOf("\u001d\u001dx")).forGuest)).toBe("\u001dx");
    expect(keys.filter(bytesOf("x")).leaves).toBe(false);
  });
});

describe("quoteInput", () => {
  it("puts Ctrl-V before control characters, but not before tab and newline", () => {
    expect([...quoteInput(Uint8Array.of(0x61, 0x03, 0x0a, 0x09, 0x7f, 0xff))]).toEqual([
      0x61, 0x16, 0x03, 0x0a, 0x09, 0x16, 0x7f, 0xff,
    ]);
  });
});

describe("MarkedOutput", () => {
  /** What comes out, and how much had come when the mark was seen. */
  function feed(mark: string, pieces: readonly string[]): { text: string; marks: number } {
    let text = "";
    let marks = 0;
    const output = new MarkedOutput(
      mark,
      (bytes) => (text += textOf(bytes)),
      () => marks++,
    );
    for (const piece of pieces) output.push(bytesOf(piece));
    return { text, marks };
  }

  it("takes the mark away, however the output is cut", () => {
    const ascii = fc.string({ unit: fc.constantFrom("a", "b", "M", "\n"), maxLength: 10 });
    fc.assert(
      fc.property(ascii, fc.array(fc.nat(), { maxLength: 5 }), (rest, cuts) => {
        const whole = `MARK${rest}`;
        const ends = [...cuts.map((place) => place % whole.length), whole.length];
        ends.sort((a, b) => a - b);
        const pieces = ends.map((end, i) => whole.slice(ends[i - 1] ?? 0, end));
        expect(feed("MARK", pieces)).toEqual({ text: rest, marks: 1 });
      }),
    );
  });

  it("withholds nothing of output that has no mark", () => {
    expect(feed("MARK", ["sh: syntax error"])).toEqual({ text: "sh: syntax error", marks: 0 });
    expect(feed("MARK", ["MA", "X", "MARK"])).toEqual({ text: "MAXMARK", marks: 0 });
  });
});

describe("a command of several words", () => {
  it("is quoted, so that each word arrives as it is; one word is a shell's line", () => {
    expect(commandLine(["ls -l | wc"])).toBe("ls -l | wc");
    expect(commandLine(["echo", "a b", "it's", "$HOME", ""])).toBe(
      String.raw`'echo' 'a b' 'it'\''s' '$HOME' ''`,
    );
  });
});

describe("messages", () => {
  it("are one line, with what is underneath", () => {
    const cause = new Error("listen EADDRINUSE");
    expect(errorText(new Error("forward tcp::80-:80", { cause }))).toBe(
      "forward tcp::80-:80 (listen EADDRINUSE)",
    );
    expect(errorText(new Error("listen EADDRINUSE: port", { cause }))).toBe(
      "listen EADDRINUSE: port",
    );
    expect(oneLine("a\n  b\n")).toBe("a b");
  });
});
