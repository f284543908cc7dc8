/** A machine of v86 without software: switched on, not running. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { V86 } from "v86";

const WASM_PATH = join(dirname(createRequire(import.meta.url).resolve("v86")), "v86.wasm");

/** Makes one. Destroy it after use. */
export async function makeV86Machine(nic: "virtio" | "ne2k"): Promise<V86> {
  const emulator = new V86({
    wasm_path: WASM_PATH,
    memory_size: 16 * 1024 * 1024,
    vga_memory_size: 2 * 1024 * 1024,
    net_device: { type: nic },
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    autostart: false,
  });
  await new Promise<void>((resolve) => {
    emulator.add_listener("emulator-ready", () => {
      resolve();
    });
  });
  return emulator;
}
