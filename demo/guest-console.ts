/** A guest with its terminal: started, put on the network, and given a shell. */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { NetBackend } from "slirp-wasm/browser";
import { attachV86 } from "slirp-wasm/v86";
import { element } from "./dom.js";
import { Guest, type Fact } from "./guest.js";

const encoder = new TextEncoder();

/** What the guest's prompt ends with: "#". */
const PROMPT = 0x23;

/** See the top of the file. */
export class GuestConsole {
  readonly terminal: Terminal;
  /** Fulfilled with the facts of the lease once the guest's shell has its prompt. */
  readonly ready: Promise<readonly Fact[]>;
  readonly #fit = new FitAddon();
  readonly #progress: HTMLElement;
  #guest: Guest | undefined;

  /** Makes the terminal and starts: the guest's files are at `base`, its network card is put on `backend`. */
  constructor(name: string, base: URL, backend: Promise<NetBackend>) {
    const template = element<HTMLTemplateElement>("guest-template").content;
    const root = (template.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
    root.setAttribute("aria-label", name);
    element("guests").append(root);
    this.#progress = root.querySelector(".progress") as HTMLElement;
    this.terminal = new Terminal({
      fontFamily: "ui-monospace, monospace",
      fontSize: 14,
      cursorBlink: true,
      scrollback: 5000,
      screenReaderMode: true,
      theme: { background: "#0d1117", foreground: "#e3e9f0" },
    });
    this.terminal.loadAddon(this.#fit);
    this.terminal.open(root.querySelector(".terminal") as HTMLElement);
    new ResizeObserver(() => {
      this.#fit.fit();
    }).observe(root);
    this.ready = this.#start(base, backend).finally(() => {
      this.#progress.hidden = true;
    });
  }

  /** Types a line into the guest's shell. */
  run(command: string): void {
    this.#guest?.type(encoder.encode(`${command}\r`));
    this.terminal.focus();
  }

  async #start(base: URL, backend: Promise<NetBackend>): Promise<readonly Fact[]> {
    let isPrompting = (): void => undefined;
    const prompted = new Promise<void>((resolve) => (isPrompting = resolve));
    const onOutput = (bytes: Uint8Array): void => {
      this.terminal.write(bytes);
      if (bytes.includes(PROMPT)) isPrompting();
    };
    const onProgress = this.#showProgress.bind(this);
    const [guest, network] = await Promise.all([
      Guest.start(base, { onOutput, onProgress }),
      backend,
    ]);
    this.#guest = guest;
    attachV86(guest.emulator, network, { nic: "virtio" });
    this.terminal.onData((text) => {
      guest.type(encoder.encode(text));
    });
    this.terminal.onBinary((text) => {
      guest.type(Uint8Array.from(text, (character) => character.charCodeAt(0)));
    });
    this.terminal.onResize(({ cols, rows }) => {
      void guest.resize(cols, rows);
    });
    this.#showProgress("Asking for an address", undefined);
    const lease = await guest.configureNetwork();
    guest.openShell(this.terminal.cols, this.terminal.rows);
    await prompted;
    return lease;
  }

  #showProgress(text: string, part: number | undefined): void {
    this.#progress.hidden = false;
    const [label, bar] = this.#progress.querySelectorAll<HTMLElement>("output, progress");
    if (label) label.textContent = text;
    if (!(bar instanceof HTMLProgressElement)) return;
    if (part === undefined) bar.removeAttribute("value");
    else bar.value = part;
  }
}
