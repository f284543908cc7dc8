/** Suites that need TAP devices in network namespaces of their own: where there can be none they are skipped, with the reason. */
import { afterEach, beforeEach, describe, it } from "vitest";
import { openTapQueues, type OpenTapOptions, type TapBackend } from "../../src/tap.js";
import { NetworkNamespace, whyNoTap } from "./network-namespace.js";

/** By which way the frames of TAPs go in the suites: by vhost-net where these are run on a kernel that has it. */
export const TAP_WAY: OpenTapOptions =
  process.env["SLIRP_WASM_TEST_VHOST"] === "on" ? { vhost: true } : {};

/** A namespace and what was opened in it; all of it goes with the test. */
export class TapWorld {
  readonly namespace: NetworkNamespace;
  readonly #open: TapBackend[] = [];

  private constructor(namespace: NetworkNamespace) {
    this.namespace = namespace;
  }

  static async create(): Promise<TapWorld> {
    return new TapWorld(await NetworkNamespace.create());
  }

  /** Opens a TAP, in the namespace unless it comes from elsewhere. */
  async open(options: OpenTapOptions = {}): Promise<TapBackend> {
    return (await this.openQueues(options))[0]!;
  }

  async openQueues(options: OpenTapOptions): Promise<TapBackend[]> {
    const isOpened = options.fd ?? options.fds ?? options.helper;
    const place = isOpened === undefined ? { namespace: this.namespace.path } : {};
    const taps = await openTapQueues({ ...place, ...TAP_WAY, ...options });
    this.#open.push(...taps);
    return taps;
  }

  /** A TAP that is up. */
  async openUp(name: string, options: OpenTapOptions = {}): Promise<TapBackend> {
    return this.open({ name, up: true, ...options });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#open.map((tap) => tap.close()));
    await this.namespace.close();
  }
}

/** Registers tests that are given a fresh world each. */
export function describeTap(
  name: string,
  register: (test: (title: string, run: (world: TapWorld) => Promise<void>) => void) => void,
  missing: string | undefined = whyNoTap(),
): void {
  if (missing !== undefined) {
    it(name, (ctx) => {
      ctx.skip(missing);
    });
    return;
  }
  describe(name, () => {
    let world: TapWorld;
    beforeEach(async () => {
      world = await TapWorld.create();
    });
    afterEach(async () => {
      await world.close();
    });
    register((title, run) => {
      it(title, () => run(world));
    });
  });
}

/** Waits for something that the kernel or another process does. */
export { waitUntil } from "./wait-until.js";
