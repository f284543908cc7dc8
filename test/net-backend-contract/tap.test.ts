/**
 * A TAP is a backend like any other: here two of them in a bridge of the kernel, in a network namespace of their own.
 */
import { it } from "vitest";
import { openTap, type TapBackend, type TapOptions } from "../../src/tap.js";
import { frameIndex, framesOf, GUEST_MAC, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { TAP_WAY, waitUntil } from "../support/describe-tap.js";
import { NetworkNamespace, whyNoTap } from "../support/network-namespace.js";
import { settle, type BackendHarness } from "./harness.js";
import { describeNetBackend } from "./suite.js";

/** Two TAPs in a bridge: the backend, and what stands for the network. */
async function createBridgeHarness(
  options: TapOptions = {},
  commands = "",
): Promise<Omit<BackendHarness, "neverWaits">> {
  const namespace = await NetworkNamespace.create();
  const near = await openTap({ name: "near0", namespace: namespace.path, ...TAP_WAY, ...options });
  const far = await openTap({ name: "far0", namespace: namespace.path });
  await namespace.ip(`
    link add bridge0 type bridge mcast_snooping 0 forward_delay 0
    link set near0 master bridge0 up
    link set far0 master bridge0 up txqueuelen 20000
    link set bridge0 up`);
  for (const command of commands.split("\n").filter((line) => line !== "")) {
    await namespace.run(...command.split(" "));
  }
  // So that it is full in little time where everything is slow.
  if (near.vhost.isUsed) await namespace.ip("link set near0 txqueuelen 300");
  const arrived: number[] = [];
  let provoked = 0;
  far.callbacks = {
    onFrames: (batch) => {
      for (const frame of framesOf(batch)) arrived.push(frameIndex(frame) ?? NaN);
    },
  };
  far.enableReceive();
  return {
    backend: near,
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count) => {
      const frames = Array.from({ length: count }, () => {
        provoked++;
        const addresses = { source: NETWORK_MAC, destination: GUEST_MAC };
        return numberedFrame(provoked, { ...addresses, length: 60 + (provoked % 1000) });
      });
      // The kernel's bridge hands them on within the call, and vhost-net when it comes to it.
      for (const frame of frames) far.send(frame);
      if (near.vhost.isUsed) await untilTheyWait(near);
      return frames;
    },
    close: async () => {
      await near.close();
      await far.close();
      await namespace.close();
    },
  };
}

/** Where frames are pulled, until the first can be; the others are close behind. Where they are pushed, not at all. */
async function untilTheyWait(backend: TapBackend): Promise<void> {
  const isPushing = (): boolean => {
    try {
      backend.peek();
      return false;
    } catch {
      return true;
    }
  };
  if (isPushing()) return;
  await waitUntil("the first frame waits", () => isPushing() || backend.peek() > 0);
  await settle();
}

const missing = whyNoTap();
if (missing !== undefined) {
  it("NetBackend contract: TAP", (ctx) => {
    ctx.skip(missing);
  });
} else {
  describeNetBackend("TAP", async () => ({
    ...(await createBridgeHarness()),
    // vhost-net's ring is full at times.
    ...(TAP_WAY.vhost === true ? {} : { neverWaits: true }),
  }));

  // The kernel is held up on its way to the network, and has little room for what waits there: it is then that a TAP takes no more.
  describeNetBackend("TAP with a small send buffer before a slow network", () =>
    createBridgeHarness(
      { sendBufferBytes: 65_536 },
      "tc qdisc replace dev far0 root tbf rate 10mbit burst 16kb limit 10mb",
    ),
  );
}
