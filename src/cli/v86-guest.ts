/**
 * The Linux guest under v86, in Node: booted from the image that set-up makes, or restored from the state that set-up saved
 * of it, which takes a second or two instead of half a minute.
 *
 * After `start` the guest's agent answers, the NIC is down and nothing has been sent: attach the NIC to a backend
 * (`emulator`), then call `configureNetwork`.
 */

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { V86, V86Options } from "v86";
import { ErrorCode, SlirpError } from "../errors.js";
import { ByteGatherer } from "./guest-byte-gatherer.js";
import { Guest } from "./guest.js";
import { DEFAULT_MEMORY_MIB, describeMachine, type V86Nic } from "./guest-machine.js";
import {
  DEFAULT_IMAGE_FOLDER,
  type GuestImage,
  loadV86,
  readArrayBuffer,
  readGuestImage,
  readGuestState,
  type StateStamp,
  type V86Installation,
} from "./guest-image.js";

/** Options of {@link V86Guest.start}. */
export interface V86GuestOptions {
  readonly nic: V86Nic;
  /** Folder of the image. Default: `build/guest/v86` of the checkout, where set-up puts it. */
  readonly imageDir?: string | undefined;
  /** The guest's memory; at least 128, since the kernel's initrd is put at 64 MiB. Default: 128. */
  readonly memoryMiB?: number | undefined;
  /** Restore the saved state when there is one that fits. Default: true. */
  readonly useState?: boolean | undefined;
  /**
   * The guest's MAC address. Default: a random one with QEMU's prefix 52:54:00, for guests restored from one state would
   * otherwise all have the same.
   */
  readonly macAddress?: string | undefined;
  /**
   * Puts the guest on v86's own network at this URL (its `net_device.relay_url`, such as "wisp://127.0.0.1:8080/") instead
   * of a NIC that waits to be attached: for comparison. Default: none.
   */
  readonly relayUrl?: string | undefined;
  /** Milliseconds until the agent must have answered. Default: 5 minutes, for a cold boot on a slow machine. */
  readonly startTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Everything the console prints. The bytes are the receiver's to keep. */
  readonly onConsole?: ((bytes: Uint8Array) => void) | undefined;
  /** What the start is at, for people. */
  readonly onProgress?: ((text: string) => void) | undefined;
}

/** Longest wait for v86's own loading when the guest is stopped: it may have failed. */
const MAX_LOADING_MS = 10_000;

const DEFAULT_START_TIMEOUT_MS = 300_000;

/** A guest under v86. Made by {@link V86Guest.start}, ended by {@link V86Guest.stop}. */
export class V86Guest extends Guest {
  /** For whoever attaches the NIC. */
  readonly emulator: V86;
  /** What a state saved of this guest belongs to. */
  readonly stateStamp: StateStamp;
  /** Whether it was restored from a saved state; else it was booted. */
  readonly wasRestored: boolean;
  readonly #console: ByteGatherer;
  readonly #control: ByteGatherer;
  /** v86 loads its WebAssembly and the state by itself; input that comes before is lost. */
  readonly #loaded: Promise<void>;
  #stopping: Promise<void> | undefined;

  /** @throws SlirpError `missingRequirement` without v86 or an image; `guestFailed` when it does not start in time */
  static async start(options: V86GuestOptions): Promise<V86Guest> {
    const { nic, memoryMiB = DEFAULT_MEMORY_MIB, useState = true, signal, onProgress } = options;
    const folder = options.imageDir ?? DEFAULT_IMAGE_FOLDER;
    const [v86, image] = await Promise.all([loadV86(), readGuestImage(folder)]);
    const machine = describeMachine(nic, memoryMiB);
    const stamp = { imageId: image.id, v86Version: v86.version, machine };
    const state = useState ? await readGuestState(folder, nic, stamp) : undefined;
    signal?.throwIfAborted();
    onProgress?.(
      state === undefined
        ? "booting the guest, which takes some 10 to 30 s"
        : "restoring the guest from its saved state",
    );
    const source: Partial<V86Options> =
      state === undefined ? await bootFiles(folder, image) : { initial_state: { buffer: state } };
    signal?.throwIfAborted();
    const guest = new V86Guest(v86, options, stamp, source);
    try {
      await guest.#becomeReady(options);
    } catch (error) {
      await guest.stop();
      throw error;
    }
    return guest;
  }

  private constructor(
    { V86: Emulator, wasmPath }: V86Installation,
    options: V86GuestOptions,
    stamp: StateStamp,
    source: Partial<V86Options>,
  ) {
    super(options.onConsole);
    this.stateStamp = stamp;
    this.wasRestored = source.initial_state !== undefined;
    this.#console = new ByteGatherer((bytes) => this.receiveConsole(bytes));
    this.#control = new ByteGatherer((bytes) => this.agent.receive(bytes));
    this.emulator = new Emulator({
      ...source,
      ...stamp.machine,
      ...(options.relayUrl !== undefined && {
        net_device: { ...stamp.machine.net_device, relay_url: options.relayUrl },
      }),
      wasm_path: wasmPath,
      // The agent sets the address itself; v86 would rewrite addresses within frames instead.
      preserve_mac_from_state_image: true,
      disable_keyboard: true,
      disable_mouse: true,
      disable_speaker: true,
      autostart: true,
    });
    this.#loaded = new Promise((resolve) => {
      this.emulator.add_listener("emulator-loaded", () => resolve());
    });
    this.emulator.add_listener("serial0-output-byte", (byte) => this.#console.push(byte));
    this.emulator.add_listener("serial1-output-byte", (byte) => this.#control.push(byte));
  }

  async #becomeReady(options: V86GuestOptions): Promise<void> {
    const { signal, startTimeoutMs = DEFAULT_START_TIMEOUT_MS } = options;
    const deadline = AbortSignal.timeout(startTimeoutMs);
    const abort = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    const aborted = new Promise<never>((_, reject) => {
      abort.addEventListener("abort", () => reject(abort.reason as Error), { once: true });
    });
    const ready = this.wasRestored ? this.#loaded : this.agentReady;
    try {
      await Promise.race([ready, aborted]);
      await Promise.race([this.refresh(options.macAddress ?? randomMacAddress()), aborted]);
    } catch (error) {
      if (error !== deadline.reason) throw error;
      throw new SlirpError(
        ErrorCode.guestFailed,
        `the guest was not ready within ${startTimeoutMs / 1000} s`,
        { cause: error },
      );
    }
  }

  override consoleWrite(bytes: Uint8Array): void {
    this.#requireRunning();
    this.emulator.serial_send_bytes(0, bytes);
  }

  protected override writeControl(bytes: Uint8Array): void {
    this.emulator.serial_send_bytes(1, bytes);
  }

  protected override flushConsole(): void {
    this.#console.flush();
  }

  #requireRunning(): void {
    if (this.#stopping === undefined) return;
    throw new SlirpError(ErrorCode.closed, "the guest has been stopped");
  }

  /** The machine as it is, for a later {@link V86Guest.start}; the guest stands still meanwhile. Not compressed. */
  async saveState(): Promise<Uint8Array> {
    this.#requireRunning();
    await this.emulator.stop();
    const state = await this.emulator.save_state();
    await this.emulator.run();
    return new Uint8Array(state);
  }

  override async stop(): Promise<void> {
    this.#stopping ??= this.#end();
    await this.#stopping;
  }

  async #end(): Promise<void> {
    this.markEnded("the guest has been stopped");
    // What v86 has not finished making it cannot destroy; it would go on, and fail where nobody can catch it.
    await Promise.race([this.#loaded, sleep(MAX_LOADING_MS, undefined, { ref: false })]);
    await this.emulator.destroy();
    this.#console.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function bootFiles(folder: string, { files, commandLine }: GuestImage) {
  const load = async (name: string) => ({ buffer: await readArrayBuffer(join(folder, name)) });
  const [bios, vgaBios, kernel, initrd] = await Promise.all(
    [files.bios, files.vgaBios, files.kernel, files.initrd].map(load),
  );
  return {
    bios,
    vga_bios: vgaBios,
    bzimage: kernel,
    initrd,
    cmdline: commandLine,
  } as Partial<V86Options>;
}

function randomMacAddress(): string {
  const tail = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, "0"));
  return ["52", "54", "00", ...tail].join(":");
}
