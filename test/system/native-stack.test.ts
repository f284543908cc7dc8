/** The stack on the addon's sockets: the suites that it passes on Node's, once more. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { ROOT } from "../house/scratch.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";
import { SOCKETS_VARIABLE } from "../support/watched-network.js";

const TIMEOUT_MS = 600_000;

const SUITES = ["backpressure", "connect", "forwards", "idle-connections", "tcp-ends", "udp"].map(
  (name) => `test/slirp/${name}.test.ts`,
);

it(
  "the stack passes its suites on the addon's sockets",
  async (context) => {
    const missing = whyNoNativeSockets();
    if (missing !== undefined) context.skip(missing);
    const words = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit", ...SUITES];
    const env = { ...process.env, [SOCKETS_VARIABLE]: "native", NO_COLOR: "1" };
    const options = { cwd: ROOT, env, maxBuffer: 64 << 20 };
    const ended = await promisify(execFile)(process.execPath, words, options).catch(
      (error: unknown) => error as { stdout: string; stderr: string },
    );
    expect(ended.stdout, ended.stderr).toMatch(/Test Files {2}6 passed \(6\)/);
  },
  TIMEOUT_MS,
);
