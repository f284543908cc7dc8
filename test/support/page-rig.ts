/**
 * A guest in a real browser's page, the stack there with it, and our relay in the test's process.
 *
 *     await using rig = await startPageRig();
 *     await rig.guest.configureNetwork();
 */
import type { BrowserContext } from "playwright-core";
import { listenRelay, type ListeningRelay } from "../../src/relay/listen-relay.js";
import type { RelayOptions } from "../../src/relay/relay.js";
import type { PageStartOptions } from "../page/site/page-program.js";
import { browserMissing, launchBrowser, launchPlainBrowser, type PlainBrowser } from "./browser.js";
import { PageGuest } from "./page-guest.js";
import { PageSite } from "./page-site.mjs";
import type { GuestRig } from "./rig.js";
import { v86ImageMissing } from "./v86-image.js";

/** What the relay of tests lets its clients reach: what the tests themselves serve. */
export const LOOPBACK = ["127.0.0.0/8", "[::1]"] as const;

/** What is other than usual. */
export interface PageRigOptions {
  /** Of the relay. Default: it allows {@link LOOPBACK}. */
  readonly relay?: RelayOptions;
  /** Of the stack in the page, which is on the relay unless something else is said. */
  readonly slirp?: PageStartOptions["slirp"];
  readonly nic?: PageStartOptions["nic"];
  readonly tabs?: PageStartOptions["tabs"];
  /** A browser that hides what is not seen (`launchPlainBrowser`), instead of Playwright's. */
  readonly plainBrowser?: boolean;
}

/** See the top of the file. Disposing of it ends everything. */
export interface PageRig extends GuestRig {
  readonly guest: PageGuest;
  readonly site: PageSite;
  readonly context: BrowserContext;
  readonly relay: ListeningRelay;
  /** How `guest` was started. */
  readonly startOptions: PageStartOptions;
  /** One more guest, in a page of its own of the same browser: they share storage and BroadcastChannels. */
  open(options?: Partial<PageStartOptions>): Promise<PageGuest>;
}

/** Why there can be none, for `ctx.skip`. */
export function pageRigMissing(): string | undefined {
  return browserMissing() ?? v86ImageMissing();
}

export async function startPageRig(options: PageRigOptions = {}): Promise<PageRig> {
  const relay = await listenRelay({ allow: LOOPBACK, ...options.relay });
  const site = await PageSite.start();
  const browser = await (options.plainBrowser ? launchPlainBrowser() : launchOwnBrowser());
  const { context } = browser;
  const startOptions: PageStartOptions = {
    slirp: { relay: relay.url, ...options.slirp },
    ...(options.nic && { nic: options.nic }),
    ...(options.tabs && { tabs: options.tabs }),
  };
  const open: PageRig["open"] = async (other) =>
    PageGuest.start(await context.newPage(), site.url, { ...startOptions, ...other });
  const end = async (): Promise<void> => {
    await browser[Symbol.asyncDispose]();
    await relay.close(0);
    await site.close();
  };
  try {
    const guest = await open();
    return {
      guest,
      site,
      context,
      relay,
      startOptions,
      open,
      describe: () => guest.describe(),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function launchOwnBrowser(): Promise<PlainBrowser> {
  const browser = await launchBrowser();
  const context = await browser.newContext();
  return { context, [Symbol.asyncDispose]: () => browser.close() };
}
