/**
 * The guest: Linux under v86, restored from the state that was saved of it, or booted where there is none.
 *
 * Its first serial port is the console. On the second one an agent answers lines, `ID VERB ARGUMENTS` with `ID KEY VALUE` and at last
 * `ID exit STATUS`: it sets clock and address, gets a lease, and starts a shell on the console.
 */
import { V86 } from "v86";
import v86Wasm from "v86/build/v86.wasm?url";

/** The guest's files, as set-up makes them. */
interface GuestImage {
  readonly commandLine: string;
  readonly files: Readonly<Record<"kernel" | "initrd" | "bios" | "vgaBios", string>>;
}

/** What a saved state was made of: v86's options of the very same machine. */
interface StateStamp {
  readonly machine: Readonly<Record<string, unknown>>;
}

/** What the guest tells the page. */
export interface GuestEvents {
  onOutput(bytes: Uint8Array): void;
  /** Loading: what, and how much of it, 0 to 1; undefined where that is not known. */
  onProgress(text: string, part: number | undefined): void;
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
    const stamp = await readJson<StateStamp>(new URL("state-virtio.json", base));
    let options: Record<string, unknown>;
    if (stamp) {
      const state = await load(new URL("state-virtio.bin.zst", base), "the saved guest", events);
      options = { ...stamp.machine, initial_state: { buffer: state } };
    } else {
      options = await bootOptions(base, events);
    }
    events.onProgress(stamp ? "Waking the guest" : "Booting Linux", undefined);
    const guest = new Guest(options, events, stamp !== undefined);
    await guest.#ready;
    await guest.#refresh();
    return guest;
  }

  private constructor(options: Record<string, unknown>, events: GuestEvents, isRestored: boolean) {
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

async function bootOptions(base: URL, events: GuestEvents): Promise<Record<string, unknown>> {
  const image = await readJson<GuestImage>(new URL("image.json", base));
  if (!image) throw new Error(`there is no guest at ${base.href}`);
  const file = async (name: string) => ({ buffer: await load(new URL(name, base), name, events) });
  return {
    memory_size: 128 * 1024 * 1024,
    vga_memory_size: 2 * 1024 * 1024,
    net_device: { type: "virtio" },
    uart1: true,
    bios: await file(image.files.bios),
    vga_bios: await file(image.files.vgaBios),
    bzimage: await file(image.files.kernel),
    initrd: await file(image.files.initrd),
    cmdline: image.commandLine,
  };
}

async function readJson<T>(url: URL): Promise<T | undefined> {
  const response = await fetch(url);
  const isJson = response.headers.get("Content-Type")?.includes("json") ?? false;
  return response.ok && isJson ? ((await response.json()) as T) : undefined;
}

async function load(url: URL, what: string, events: GuestEvents): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok || !response.body) {
    throw new Error(`${url.href}: ${String(response.status)} ${response.statusText}`);
  }
  const total = Number(response.headers.get("Content-Length") ?? NaN);
  const pieces: Uint8Array[] = [];
  let loaded = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    loaded += value.length;
    const megabytes = (loaded / 1e6).toFixed(1);
    events.onProgress(`Loading ${what}: ${megabytes} MB`, total > 0 ? loaded / total : undefined);
  }
  const whole = new Uint8Array(loaded);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole.buffer;
}
