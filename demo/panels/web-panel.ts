/** What the guest's web servers show, in a frame of the page: a service worker leads `guest/PORT/` into the guest. */
import { serveGuest, type ServedGuest, type SlirpBackend } from "slirp-wasm/browser";
import { element, messageOf } from "../dom.js";

const RETRY_MS = 300;
const START_TIMEOUT_MS = 10_000;

/** See the top of the file. */
export class WebPanel {
  readonly #slirp: SlirpBackend;
  readonly #note = element("web-note");
  #served: Promise<ServedGuest> | undefined;

  constructor(slirp: SlirpBackend) {
    this.#slirp = slirp;
    const port = element<HTMLInputElement>("web-port");
    element("web-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.show(Number(port.value));
    });
  }

  /** Shows the server at a port; one that is just being started is waited for. */
  async show(port: number): Promise<void> {
    element<HTMLInputElement>("web-port").value = String(port);
    this.#note.textContent = `Asking port ${String(port)} of the guest`;
    try {
      const served = await (this.#served ??= this.#serve());
      await this.#waitForServer(port);
      this.#open(served.url(port));
      this.#note.textContent = "";
    } catch (error) {
      this.#note.textContent = messageOf(error);
    }
  }

  async #serve(): Promise<ServedGuest> {
    if (!("serviceWorker" in navigator)) {
      throw new Error(
        "This needs a service worker, which browsers allow on https and on localhost.",
      );
    }
    const script = new URL("service-worker.js", location.href);
    return serveGuest(this.#slirp, await navigator.serviceWorker.register(script));
  }

  async #waitForServer(port: number): Promise<void> {
    const end = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        const connection = await this.#slirp.connect({ port });
        await connection.close();
        return;
      } catch (error) {
        if (Date.now() > end) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #open(url: string): void {
    const frame = element<HTMLIFrameElement>("web-frame");
    frame.hidden = false;
    frame.src = url;
    const link = element<HTMLAnchorElement>("web-tab");
    link.hidden = false;
    link.href = url;
  }
}
