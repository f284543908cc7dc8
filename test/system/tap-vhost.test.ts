/**
 * TAPs on vhost-net, in a guest under QEMU whose kernel has it: the suites that need it, and the contract's, run there by our Node.
 */
import { afterAll, beforeAll, expect, it, type TestContext } from "vitest";
import { NodeGuest, nodeGuestMissing } from "../support/node-guest.js";

const TIMEOUT_MS = 900_000;
const VITEST = "/slirp-wasm/node_modules/vitest/vitest.mjs";
const TUN_MODULES = ["tun", "tap", "llc", "stp", "bridge"];
const VHOST_MODULES = ["vhost_iotlb", "vhost", "vhost_net"];

const missing = nodeGuestMissing();
let guest: NodeGuest | undefined;

beforeAll(async () => {
  if (missing !== undefined) return;
  guest = await NodeGuest.start({
    files: ["src", "test", "types", "scripts", "tsconfig.base.json", "vitest.config.ts"],
    packages: ["vitest", "vite", "fast-check"],
    programs: ["sh", "ip", "unshare", "nsenter", "cat"],
  });
  await guest.load(TUN_MODULES);
}, TIMEOUT_MS);

afterAll(async () => {
  await guest?.stop();
});

function theGuest(ctx: TestContext): NodeGuest {
  if (missing !== undefined) ctx.skip(missing);
  return guest!;
}

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** Runs a file of tests in the guest, or those of it whose names match; answers what failed, with how many passed. */
async function runSuite(
  inside: NodeGuest,
  file: string,
  name = "",
): Promise<{ failures: string[]; passed: number }> {
  const options = ["--root=/slirp-wasm", "--project=unit", "--testTimeout=120000"];
  const words = [VITEST, "run", ...options, "--reporter=json", "-t", name, file];
  const output = await inside.node(words, { SLIRP_WASM_TEST_VHOST: "on" }, { mayFail: true });
  const { testResults } = JSON.parse(output.slice(output.indexOf("{"))) as Report;
  const results = testResults.flatMap(({ assertionResults }) => assertionResults);
  return {
    failures: [
      ...testResults.map(({ message }) => message).filter((message) => message !== ""),
      ...results
        .filter(({ status }) => status === "failed")
        .map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join("; ")}`),
    ],
    passed: results.filter(({ status }) => status === "passed").length,
  };
}

it("without vhost-net a TAP goes without where it may, and else says how to get it", async (ctx) => {
  const inside = theGuest(ctx);
  const script = `
    const { openTap } = await import("/slirp-wasm/dist/tap.js");
    const tap = await openTap({ name: "tap0", vhost: "auto" });
    const { isUsed, reason } = tap.vhost;
    await tap.close();
    const { code, message } = await openTap({ name: "tap0", vhost: true }).catch((error) => error);
    console.log(JSON.stringify({ isUsed, reason, code, message }));`;
  const answer: unknown = JSON.parse(await inside.node(["--input-type=module", "-e", script]));
  const text = expect.stringMatching(/"\/dev\/vhost-net".*modprobe vhost_net/) as string;
  expect(answer).toEqual({
    isUsed: false,
    reason: text,
    code: "ERR_SLIRP_DEVICE_FAILED",
    message: text,
  });
});

it(
  "on vhost-net it moves the kernel's TCP and what else it is given",
  async (ctx) => {
    const inside = theGuest(ctx);
    await inside.load(VHOST_MODULES);
    const { failures, passed } = await runSuite(inside, "test/backends/vhost-net.test.ts");
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThanOrEqual(20);
  },
  TIMEOUT_MS,
);

it(
  "on vhost-net it is a NetBackend as the contract has it",
  async (ctx) => {
    const suite = "test/net-backend-contract/tap.test.ts";
    const { failures, passed } = await runSuite(theGuest(ctx), suite, "contract: TAP [^w]");
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThanOrEqual(60);
  },
  TIMEOUT_MS,
);
