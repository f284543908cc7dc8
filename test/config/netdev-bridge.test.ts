/**
 * QEMU's option string for a TAP that a helper puts into a bridge.
 */
import { describe, expect, it } from "vitest";
import { parseNetdevBridge } from "../../src/config/index.js";
import { expectRefusal } from "./expect-refusal.js";

describe("the option string bridge,…", () => {
  it.each([
    ["bridge", { helper: true }],
    ["bridge,id=net0", { helper: true }],
    ["bridge,br=br7", { helper: true, bridge: "br7" }],
    ["bridge,br=b,,r", { helper: true, bridge: "b,r" }],
    ["bridge,helper=/opt/helper --x,br=br7", { helper: "/opt/helper --x", bridge: "br7" }],
  ])("%s is read", (text, options) => {
    expect(parseNetdevBridge(text)).toEqual(options);
  });

  it.each([
    ["bridge,ifname=tap0", '"ifname"'],
    ["bridge,fd=3", '"fd"'],
    ["bridge,br=br0,br=br1", "twice"],
    ["bridge,br", "br=br0"],
    ["bridge,br=", "empty"],
    ["bridge,", "missing"],
    ["bridgehead", "does not begin with bridge"],
    ["bridge:br0", "bridge,br=br0"],
    ["tap,br=br0", "does not begin with bridge"],
  ])("%s is refused, pointing at %s", (text, words) => {
    expectRefusal(() => parseNetdevBridge(text), [words]);
  });
});
