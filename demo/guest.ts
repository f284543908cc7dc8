/**
 * The guest: Linux under v86, restored from the state that was saved of it, or booted where there is none.
 *
 * Its first serial port is the console. On the second one an agent answers lines, `ID VERB ARGUMENTS` with `ID KEY VALUE` and at last
 * `ID exit STATUS`: it sets clock and address, gets a lease, and starts a shell on the console.
 */
import { V86 } from "v86";
import v86Wasm from "v86/build/v86.wasm?url";
import { loadGuest, type GuestStart, type ProgressListener } from "./guest-files.js";

/** What the guest tells the page. */
export interface GuestEvents {
  onOutput(bytes: Uint8Array): void;
  readonly onProgress: ProgressListener;
}

/** A line of the agent's answer. */
export interface Fact {
  readonly key: string;
  readonly value: string;
}

interface Pending {
  readonly facts: Fact[];
  resolve(facts: Fact[]): void;
  reject(error: Error): void;
}

const ANSWER_TIMEOUT_MS = 60_000;

/** See the top of the file. */
export class Guest {
  readonly emulator: V86;
  readonly #pending = new Map<string, Pending>();
  readonly #ready: Promise<void>;
  #becomeReady: () => void = () => undefined;
  #nextId = 1;
  #line = "";

  /** Loads what is at `base` and starts. Fulfilled when the agent answers. */
  static async start(base: URL, events: GuestEvents): Promise<Guest> {
    const start = await loadGuest(base, events.onProgress);
    events.onProgress(start.isRestored ? "Waking the guest" : "Booting Linux", undefined);
    const guest = new Guest(start, events);
    await guest.#ready;
    if (start.keep) {
      events.onProgress("Keeping the guest's state for the next visit", undefined);
      // A browser that keeps nothing, or not so much, boots again the next time.
      await start.keep(await guest.emulator.save_state()).catch(() => undefined);
    }
    await guest.#refresh();
    return guest;
  }

  private constructor({ options, isRestored }: GuestStart, events: GuestEvents) {
    this.#ready = new Promise((resolve) => (this.#becomeReady = resolve));
    this.emulator = new V86({
      ...options,
      wasm_path: v86Wasm,
      preserve_mac_from_state_image: true,
      disable_keyboard: true,
      disable_mouse: true,
      disable_speaker: true,
      autostart: true,
    });
    const gathered: number[] = [];
    this.emulator.add_listener("serial0-output-byte", (byte: number) => {
      // A terminal wants pieces, not bytes.
      if (gathered.push(byte) > 1) return;
      queueMicrotask(() => {
        events.onOutput(Uint8Array.from(gathered));
        gathered.length = 0;
      });
    });
    this.emulator.add_listener("serial1-output-byte", (byte: number) => {
      this.#take(String.fromCharCode(byte));
    });
    if (isRestored) {
      this.emulator.add_listener("emulator-loaded", () => {
        this.#becomeReady();
      });
    }
  }

  /** Types into the console. */
  type(bytes: Uint8Array): void {
    this.emulator.serial_send_bytes(0, bytes);
  }

  /** A shell on the console, which never ends. */
  openShell(columns: number, rows: number): void {
    void this.#ask(`terminal ${String(columns)}x${String(rows)}`, Infinity).catch(() => undefined);
  }

  /** The terminal has another size. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#ask(`resize ${String(columns)}x${String(rows)}`);
  }

  /** Brings the network up; answers the facts of lease and addresses. */
  async configureNetwork(): Promise<Fact[]> {
    const lease = await this.#ask("net");
    return [...lease, ...(await this.#ask("addresses"))];
  }

  /** A machine restored from a state has that one's time, address and random numbers. */
  async #refresh(): Promise<void> {
    const random = [...crypto.getRandomValues(new Uint8Array(32))].map((byte) =>
      byte.toString(16).padStart(2, "0"),
    );
    await this.#ask(`time ${String(Math.floor(Date.now() / 1000))}`);
    await this.#ask(`seed ${random.join("")}`);
    await this.#ask(`mac 52:54:00:${random.slice(0, 3).join(":")}`);
  }

  #ask(request: string, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Fact[]> {
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { facts: [], resolve, reject });
      this.emulator.serial_send_bytes(1, new TextEncoder().encode(`${id} ${request}\n`));
      if (timeoutMs === Infinity) return;
      setTimeout(() => {
        this.#pending.delete(id);
        reject(new Error(`the guest did not answer "${request}"`));
      }, timeoutMs);
    });
  }

  #take(character: string): void {
    if (character !== "\n") {
      this.#line += character;
      return;
    }
    const [, id = "", key = "", value = ""] = /^(\S+) (\S+) ?(.*)$/.exec(this.#line) ?? [];
    this.#line = "";
    if (id === "0" && key === "ready") this.#becomeReady();
    const pending = this.#pending.get(id);
    if (!pending) return;
    if (key !== "exit") {
      pending.facts.push({ key, value });
      return;
    }
    this.#pending.delete(id);
    const failure = pending.facts.find((fact) => fact.key === "failure");
    if (failure) pending.reject(new Error(failure.value));
    else pending.resolve(pending.facts);
  }
}
