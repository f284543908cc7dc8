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
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** Files of tests, and which of theirs. */
const SUITES = [
  "test/backends/vhost-net.test.ts",
  "test/net-backend-contract/tap.test.ts",
] as const;
const NAMES = "vhost-net|contract: TAP [^w]";

let report: Promise<Report> | undefined;

/** Has the guest run all suites, once: most of the time goes by before the first test. */
function runSuites(inside: NodeGuest): Promise<Report> {
  report ??= (async () => {
    await inside.load(VHOST_MODULES);
    const options = ["--root=/slirp-wasm", "--project=unit", "--no-file-parallelism"];
    const words = [VITEST, "run", ...options, "--testTimeout=120000", "--reporter=json"];
    const variables = { SLIRP_WASM_TEST_VHOST: "on" };
    const output = await inside.node([...words, "-t", NAMES, ...SUITES], variables, {
      mayFail: true,
    });
    return JSON.parse(output.slice(output.indexOf("{"))) as Report;
  })();
  return report;
}

/** What failed of a file of tests, and how many passed. */
async function resultsOf(
  inside: NodeGuest,
  suite: (typeof SUITES)[number],
): Promise<{ failures: string[]; passed: number }> {
  const { testResults } = await runSuites(inside);
  const file = testResults.find(({ name }) => name.endsWith(suite));
  if (!file) throw new Error(`the guest's Vitest says nothing of ${suite}`);
  const failures = file.assertionResults
    .filter(({ status }) => status === "failed")
    .map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join("; ")}`);
  return {
    failures: file.message === "" ? failures : [file.message, ...failures],
    passed: file.assertionResults.filter(({ status }) => status === "passed").length,
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
    const { failures, passed } = await resultsOf(theGuest(ctx), SUITES[0]);
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThanOrEqual(20);
  },
  TIMEOUT_MS,
);

it(
  "on vhost-net it is a NetBackend as the contract has it",
  async (ctx) => {
    const { failures, passed } = await resultsOf(theGuest(ctx), SUITES[1]);
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThanOrEqual(60);
  },
  TIMEOUT_MS,
);
