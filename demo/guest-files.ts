/**
 * What a guest is started from: the state that was saved of it, or kernel and initrd. Where the page's host has no saved state, the
 * browser keeps one after the first boot.
 */
import { del, get, keys, set } from "idb-keyval";

/** The guest's files, as set-up makes them. */
interface GuestImage {
  readonly id: string;
  readonly commandLine: string;
  readonly files: Readonly<Record<"kernel" | "initrd" | "bios" | "vgaBios", string>>;
}

/** What a saved state was made of: v86's options of the very same machine. */
interface StateStamp {
  readonly machine: Readonly<Record<string, unknown>>;
}

/** Loading: what, and how much of it, 0 to 1; undefined where that is not known. */
export type ProgressListener = (text: string, part: number | undefined) => void;

/** How to start. */
export interface GuestStart {
  /** Options of v86. */
  readonly options: Record<string, unknown>;
  readonly isRestored: boolean;
  /** Keeps the machine's state for the next start; only where it makes sense. Failing is no harm. */
  readonly keep?: (state: ArrayBuffer) => Promise<void>;
}

const KEPT_PREFIX = "slirp-wasm.guest.";

const BOOTED_MACHINE = {
  memory_size: 128 * 1024 * 1024,
  vga_memory_size: 2 * 1024 * 1024,
  net_device: { type: "virtio" },
  uart1: true,
};

/** Loads what is at `base`. @throws Error where there is no guest, or a file cannot be had. */
export async function loadGuest(base: URL, onProgress: ProgressListener): Promise<GuestStart> {
  const stamp = await readJson<StateStamp>(new URL("state-virtio.json", base));
  if (stamp) {
    const buffer = await load(new URL("state-virtio.bin.zst", base), "the saved guest", onProgress);
    return { options: { ...stamp.machine, initial_state: { buffer } }, isRestored: true };
  }
  const image = await readJson<GuestImage>(new URL("image.json", base));
  if (!image) throw new Error(`there is no guest at ${base.href}`);
  const key = KEPT_PREFIX + image.id;
  const kept = await get<ArrayBuffer>(key).catch(() => undefined);
  if (kept) {
    return { options: { ...BOOTED_MACHINE, initial_state: { buffer: kept } }, isRestored: true };
  }
  const file = async (name: string): Promise<{ buffer: ArrayBuffer }> => ({
    buffer: await load(new URL(name, base), name, onProgress),
  });
  const options = {
    ...BOOTED_MACHINE,
    bios: await file(image.files.bios),
    vga_bios: await file(image.files.vgaBios),
    bzimage: await file(image.files.kernel),
    initrd: await file(image.files.initrd),
    cmdline: image.commandLine,
  };
  return { options, isRestored: false, keep: (state) => keepState(key, state) };
}

/** One state is kept, for it is large: what was kept of other images goes. */
async function keepState(key: string, state: ArrayBuffer): Promise<void> {
  for (const other of await keys<string>()) if (other.startsWith(KEPT_PREFIX)) await del(other);
  await set(key, state);
}

async function readJson<T>(url: URL): Promise<T | undefined> {
  const response = await fetch(url);
  const isJson = response.headers.get("Content-Type")?.includes("json") ?? false;
  return response.ok && isJson ? ((await response.json()) as T) : undefined;
}

async function load(url: URL, what: string, onProgress: ProgressListener): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok || !response.body) {
    throw new Error(`${url.href}: ${String(response.status)} ${response.statusText}`);
  }
  const total = Number(response.headers.get("Content-Length") ?? NaN);
  let loaded = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      loaded += piece.length;
      const megabytes = (loaded / 1e6).toFixed(1);
      onProgress(`Loading ${what}: ${megabytes} MB`, total > 0 ? loaded / total : undefined);
      controller.enqueue(piece);
    },
  });
  return new Response(response.body.pipeThrough(counter)).arrayBuffer();
}
