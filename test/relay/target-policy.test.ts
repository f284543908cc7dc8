import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { TargetPolicy } from "../../src/relay/target-policy.js";

describe("without a rule", () => {
  const policy = new TargetPolicy();

  it.each(["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])(
    "%s is reached, for it is public",
    (address) => {
      expect(policy.judge(address, 443)).toEqual({ allowed: true, rule: "default" });
    },
  );

  it.each([
    ["127.0.0.1", "loopback"],
    ["0.0.0.0", "unspecified"],
    ["10.1.2.3", "private"],
    ["172.16.0.1", "private"],
    ["192.168.1.1", "private"],
    ["169.254.169.254", "linkLocal"],
    ["100.64.0.1", "carrierGradeNat"],
    ["224.0.0.1", "multicast"],
    ["255.255.255.255", "broadcast"],
    ["::", "unspecified"],
    ["::1", "loopback"],
    ["fe80::1", "linkLocal"],
    ["fd00::1", "uniqueLocal"],
    ["ff02::1", "multicast"],
    ["2001:db8::1", "reserved"],
    ["::ffff:127.0.0.1", "loopback"],
    ["::ffff:10.0.0.1", "private"],
    ["64:ff9b::7f00:1", "loopback"],
    ["64:ff9b::a00:1", "private"],
    ["2002:7f00:1::", "loopback"],
    ["2002:c0a8:101::1", "private"],
    ["::127.0.0.1", "loopback"],
  ])("%s is not, for it is %s", (address, range) => {
    const { allowed, rule } = policy.judge(address, 80);
    expect({ allowed, rule }).toEqual({
      allowed: false,
      rule: expect.stringContaining(range) as string,
    });
  });

  it("port 25 is closed, and port 0 no port", () => {
    expect(policy.judge("1.1.1.1", 25).allowed).toBe(false);
    expect(policy.judge("1.1.1.1", 0).allowed).toBe(false);
    expect(policy.judge("1.1.1.1", 65_536).allowed).toBe(false);
  });

  it("what is no address is not dialled", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (/^[\d.]+$|:/.test(text)) return;
        expect(policy.judge(text, 80).allowed).toBe(false);
      }),
    );
  });
});

describe("rules", () => {
  it("open addresses and ports", () => {
    const policy = new TargetPolicy({ allow: ["127.0.0.0/8:8000-8100,9000", "[fd00::/8]:80"] });
    expect(policy.judge("127.0.0.1", 8050)).toEqual({
      allowed: true,
      rule: "allow 127.0.0.0/8:8000-8100,9000",
    });
    expect(policy.judge("127.1.2.3", 9000).allowed).toBe(true);
    expect(policy.judge("127.0.0.1", 8101).allowed).toBe(false);
    expect(policy.judge("fd12::1", 80).allowed).toBe(true);
    expect(policy.judge("fd12::1", 81).allowed).toBe(false);
  });

  it("open what is in another address only by that address", () => {
    const policy = new TargetPolicy({ allow: ["127.0.0.1"] });
    expect(policy.judge("::ffff:127.0.0.1", 80).allowed).toBe(true);
    expect(policy.judge("::1", 80).allowed).toBe(false);
    // Who opens all of IPv6 has not opened the IPv4 addresses that can be written in it.
    expect(new TargetPolicy({ allow: ["::/0"] }).judge("::ffff:10.0.0.1", 80).allowed).toBe(false);
  });

  it("that deny come first", () => {
    const policy = new TargetPolicy({ allow: ["*"], deny: ["192.0.2.0/24", "*:6667"] });
    expect(policy.judge("192.0.2.1", 80)).toEqual({ allowed: false, rule: "deny 192.0.2.0/24" });
    expect(policy.judge("::ffff:192.0.2.1", 80).allowed).toBe(false);
    expect(policy.judge("1.1.1.1", 6667)).toEqual({ allowed: false, rule: "deny *:6667" });
    expect(policy.judge("10.0.0.1", 80).allowed).toBe(true);
  });

  it("open port 25 only by name", () => {
    expect(new TargetPolicy({ allow: ["*"] }).judge("1.1.1.1", 25).allowed).toBe(false);
    expect(new TargetPolicy({ allow: ["1.1.1.1:25"] }).judge("1.1.1.1", 25).allowed).toBe(true);
  });

  it("say which names may be asked for", () => {
    const policy = new TargetPolicy({ names: ["example.org", "*.example.net"] });
    expect(policy.judgeName("EXAMPLE.org.").allowed).toBe(true);
    expect(policy.judgeName("sub.example.net").allowed).toBe(true);
    expect(policy.judgeName("example.net").allowed).toBe(false);
    expect(policy.judgeName("example.org.evil.test").allowed).toBe(false);
    expect(new TargetPolicy().judgeName("any.test").allowed).toBe(true);
  });

  it.each([
    "",
    "300.1.1.1",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/8/8",
    "1.1.1.1:0",
    "*:80-70",
    "*:http",
  ])('"%s" is refused, with its text', (rule) => {
    expect(() => new TargetPolicy({ allow: [rule] })).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(`allow "${rule}"`) as string,
      }),
    );
  });
});
