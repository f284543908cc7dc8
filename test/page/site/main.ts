/**
 * The page of the tests: a guest under v86 on a stack of ours, by the package's public entries. It does nothing by itself: the
 * test starts it and moves the bytes of the guest's serial ports, so that the guest is commanded as in Node
 * (test/support/page-guest.ts).
 */
import {
  createSlirp,
  openBackend,
  type NetBackend,
  type RelayStatus,
  type SlirpBackend,
} from "slirp-wasm/browser";
import { attachBroadcastChannel, attachV86, createSwitch } from "slirp-wasm/v86";
import { V86 } from "v86";
import { readKept, writeKept, type KeptState } from "./kept-state.js";
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
  emulator: V86 | undefined;
  readonly relayStatuses: string[] = [];
  #machine: Machine = {};

  async start(options: PageStartOptions): Promise<{ readonly wasRestored: boolean }> {
    const { nic = "virtio", from = "image" } = options;
    const kept = from === "kept" ? await readKept() : undefined;
    const source = kept ? sourceOfKept(kept) : await readImage(nic);
    const slirp = options.tabs === "join" ? undefined : await this.#createSlirp(options);
    if (kept) await slirp?.loadState(kept.stack);
    const emulator = await this.#startMachine(source);
    if (slirp) {
      const backend = options.tabs ? shareWithTabs(slirp) : slirp;
      this.run = { slirp, emulator, attachment: attachV86(emulator, backend, { nic }) };
    } else {
      attachV86(emulator, await openBackend("inbrowser"), { nic });
    }
    return { wasRestored: source.wasRestored };
  }

  async startOnV86(relayUrl: string): Promise<{ readonly wasRestored: boolean }> {
    const source = await readImage("virtio");
    const net_device = { type: "virtio", relay_url: relayUrl };
    await this.#startMachine({ ...source, machine: { ...source.machine, net_device } });
    return { wasRestored: source.wasRestored };
  }

  async #startMachine({ machine, source }: MachineSource): Promise<V86> {
    const emulator = new V86({ ...source, ...machine, ...COMMON_OPTIONS });
    this.#machine = machine;
    this.emulator = emulator;
    passOutput(emulator, 0);
    passOutput(emulator, 1);
    await new Promise<void>((resolve) => {
      emulator.add_listener("emulator-loaded", () => resolve());
    });
    return emulator;
  }

  #createSlirp({ slirp }: PageStartOptions): Promise<SlirpBackend> {
    const onStatus = ({ state, url, message }: RelayStatus): void => {
      this.relayStatuses.push(`${state} ${url} ${message}`);
    };
    if (slirp.relay === undefined) return createSlirp(slirp);
    const isWsproxy = typeof slirp.relay === "string" && /^ws\w+\+/.test(slirp.relay);
    const more = isWsproxy
      ? { wsproxy: { ...slirp.wsproxy, onStatus } }
      : { wisp: { ...slirp.wisp, onStatus } };
    return createSlirp({ ...slirp, ...more });
  }

  write(wire: Wire, text: string): void {
    if (!this.emulator) throw new Error("the page runs no guest");
    this.emulator.serial_send_bytes(wire, encoder.encode(text));
  }

  async keep(): Promise<void> {
    const { emulator, slirp } = this.#running;
    await emulator.stop();
    const guest = await emulator.save_state();
    await writeKept({ machine: this.#machine, guest, stack: await slirp.saveState() });
    await emulator.run();
  }

  async stop(): Promise<void> {
    const { emulator, slirp, attachment } = this.#running;
    this.run = undefined;
    this.emulator = undefined;
    attachment.detach();
    await emulator.destroy();
    await slirp.close();
  }

  get #running(): PageRun {
    if (!this.run) throw new Error("the page runs no guest");
    return this.run;
  }
}

/** A port for this tab's guest, beside one for those of all other tabs. */
function shareWithTabs(slirp: SlirpBackend): NetBackend {
  const bridge = createSwitch(slirp);
  attachBroadcastChannel(bridge.openPort("tabs"));
  return bridge.openPort("guest");
}

function sourceOfKept({ machine, guest }: KeptState): MachineSource {
  return { machine, source: { initial_state: { buffer: guest } }, wasRestored: true };
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
