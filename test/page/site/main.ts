/**
 * The page of the tests: a guest under v86 on a stack of ours, by the package's public entries. It does nothing by itself: the
 * test starts it and moves the bytes of the guest's serial ports, so that the guest is commanded as in Node
 * (test/support/page-guest.ts).
 */
import { createSlirp, type RelayStatus } from "slirp-wasm/browser";
import { attachV86 } from "slirp-wasm/v86";
import { V86 } from "v86";
import { readKept, writeKept } from "./kept-state.js";
import { COMMON_OPTIONS, readImage, type Machine, type MachineSource } from "./machine.js";
import type { PageProgram, PageRun, PageStartOptions, Wire } from "./page-program.js";

declare global {
  /** The test's: takes what the guest prints, a character a byte. */
  function takeGuestOutput(wire: Wire, text: string): Promise<void>;
  var testPage: PageProgram;
}

const encoder = { encode: (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0)) };

class Program implements PageProgram {
  run: PageRun | undefined;
  readonly relayStatuses: string[] = [];
  #machine: Machine = {};

  async start(options: PageStartOptions): Promise<{ readonly wasRestored: boolean }> {
    const { nic = "virtio", from = "image" } = options;
    const kept = from === "kept" ? await readKept() : undefined;
    const { machine, source, wasRestored }: MachineSource = kept
      ? {
          machine: kept.machine,
          source: { initial_state: { buffer: kept.guest } },
          wasRestored: true,
        }
      : await readImage(nic);
    const slirp = await createSlirp({
      ...options.slirp,
      wisp: {
        ...options.slirp.wisp,
        onStatus: ({ state, url, message }: RelayStatus) => {
          this.relayStatuses.push(`${state} ${url} ${message}`);
        },
      },
    });
    if (kept) slirp.loadState(kept.stack);
    const emulator = new V86({ ...source, ...machine, ...COMMON_OPTIONS });
    this.#machine = machine;
    passOutput(emulator, 0);
    passOutput(emulator, 1);
    const loaded = new Promise<void>((resolve) => {
      emulator.add_listener("emulator-loaded", () => resolve());
    });
    await loaded;
    this.run = { slirp, emulator, attachment: attachV86(emulator, slirp, { nic }) };
    return { wasRestored };
  }

  write(wire: Wire, text: string): void {
    this.#running.emulator.serial_send_bytes(wire, encoder.encode(text));
  }

  async keep(): Promise<void> {
    const { emulator, slirp } = this.#running;
    await emulator.stop();
    const guest = await emulator.save_state();
    await writeKept({ machine: this.#machine, guest, stack: slirp.saveState() });
    await emulator.run();
  }

  async stop(): Promise<void> {
    const { emulator, slirp, attachment } = this.#running;
    this.run = undefined;
    attachment.detach();
    await emulator.destroy();
    await slirp.close();
  }

  get #running(): PageRun {
    if (!this.run) throw new Error("the page runs no guest");
    return this.run;
  }
}

/** Passes on what comes in one go by one call. */
function passOutput(emulator: V86, wire: Wire): void {
  let gathered = "";
  emulator.add_listener(`serial${wire}-output-byte`, (byte: number) => {
    if (gathered === "") {
      queueMicrotask(() => {
        const text = gathered;
        gathered = "";
        void takeGuestOutput(wire, text);
      });
    }
    gathered += String.fromCharCode(byte);
  });
}

globalThis.testPage = new Program();
