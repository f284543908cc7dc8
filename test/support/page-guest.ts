/**
 * A guest in a page: commanded from the test like the guests that run in Node, so that scenarios serve both. The bytes of its
 * serial ports pass between test and browser; everything else (emulator, stack, relays' client) is in the page, and within
 * reach there as `testPage` (test/page/site/page-program.ts):
 *
 *     await guest.page.evaluate(() => testPage.run?.slirp.sockets());
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { Guest } from "../../src/cli/guest.js";
import type { PageProgram, PageStartOptions, Wire } from "../page/site/page-program.js";
import { randomMac } from "./mac.js";

declare global {
  var testPage: PageProgram;
}

const DESCRIBE_TIMEOUT_MS = 5000;

/** See the top of the file. */
export class PageGuest extends Guest {
  readonly page: Page;
  /** What the page threw where nobody caught it. */
  readonly errors: string[] = [];
  #writing: Promise<unknown> = Promise.resolve();

  /** Loads the page at `url` and starts guest and stack there. The NIC is attached, and down. */
  static async start(page: Page, url: string, options: PageStartOptions): Promise<PageGuest> {
    const guest = new PageGuest(page);
    page.on("pageerror", (error) => guest.errors.push(error.message));
    await page.exposeFunction("takeGuestOutput", (wire: Wire, text: string) => {
      const bytes = Buffer.from(text, "latin1");
      if (wire === 0) guest.receiveConsole(bytes);
      else guest.agent.receive(bytes);
    });
    await page.goto(url);
    await guest.#begin(options);
    await guest.refresh(randomMac());
    return guest;
  }

  private constructor(page: Page) {
    super(undefined);
    this.page = page;
  }

  async #begin(options: PageStartOptions): Promise<void> {
    const { wasRestored } = await this.page.evaluate(
      // Playwright's type for what crosses takes functions apart, which are none of it.
      (given) => testPage.start(given as PageStartOptions),
      options,
    );
    if (!wasRestored) await this.agentReady;
  }

  /** Keeps guest and stack in the browser's storage, loads the page anew, and goes on from there. */
  async reload(options: PageStartOptions): Promise<void> {
    await this.page.evaluate(() => testPage.keep());
    await this.page.reload();
    await this.#begin({ ...options, from: "kept" });
  }

  /** What the relays said in the page, oldest first: `state URL message`. */
  relayStatuses(): Promise<string[]> {
    return this.page.evaluate(() => [...testPage.relayStatuses]);
  }

  /** What the stack knows, for a test that failed. */
  async describe(): Promise<string> {
    // A page that hangs does not answer.
    const silence = sleep(DESCRIBE_TIMEOUT_MS, "the page does not answer", { ref: false });
    return Promise.race([this.#describe(), silence]);
  }

  #describe(): Promise<string> {
    return this.page.evaluate(async () => {
      const slirp = testPage.run?.slirp;
      if (!slirp) return "there is no stack";
      const known = [
        ...(await slirp.connections()),
        await slirp.sockets(),
        slirp.statistics(),
        testPage.relayStatuses,
      ];
      return known.map((each) => JSON.stringify(each)).join("\n");
    });
  }

  override consoleWrite(bytes: Uint8Array): void {
    this.#write(0, bytes);
  }

  protected override writeControl(bytes: Uint8Array): void {
    this.#write(1, bytes);
  }

  /** One after the other: they are parts of one stream. */
  #write(wire: Wire, bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString("latin1");
    this.#writing = this.#writing
      .then(() =>
        this.page.evaluate(([to, what]) => testPage.write(to, what), [wire, text] as const),
      )
      .catch((error: unknown) => {
        this.markEnded(`the page cannot be reached: ${String(error)}`);
      });
  }

  override async stop(): Promise<void> {
    this.markEnded("the page has been closed");
    await this.page.close();
  }
}
