// A guest in the page of test/page/site, commanded from here over its serial port.

import { Guest } from "../../dist/cli/guest.js";

export class PageGuest extends Guest {
  #page;
  /** The address that stands for the host's loopback. */
  gateway;

  /** `how`: a method of the page (test/page/site/page-program.ts) that starts a guest, and what it takes. The guest has its lease. */
  static async start(page, url, how) {
    const guest = new PageGuest();
    guest.#page = page;
    await page.exposeFunction("takeGuestOutput", (wire, text) => {
      if (wire === 1) guest.agent.receive(Buffer.from(text, "latin1"));
    });
    await page.goto(url);
    const { wasRestored } = await page.evaluate(
      ([method, options]) => globalThis.testPage[method](options),
      how,
    );
    if (!wasRestored) await guest.agentReady;
    await guest.refresh("52:54:00:12:34:56");
    ({ gateway: guest.gateway } = await guest.configureNetwork());
    return guest;
  }

  /** Runs a command in the guest, which must succeed. */
  async succeed(command) {
    const { status, errorOutput } = await this.capture(command);
    if (status === 0) return;
    throw new Error(`${command}: status ${status}: ${Buffer.from(errorOutput).toString()}`);
  }

  /** Lets the machine run, or stand still. */
  async setRunning(isRunning) {
    await this.#page.evaluate(async (go) => {
      const { emulator } = globalThis.testPage;
      await (go ? emulator.run() : emulator.stop());
    }, isRunning);
  }

  consoleWrite() {
    throw new Error("nobody types here");
  }

  writeControl(bytes) {
    const text = Buffer.from(bytes).toString("latin1");
    void this.#page.evaluate((what) => globalThis.testPage.write(1, what), text);
  }

  async stop() {
    await this.#page.close();
  }
}
