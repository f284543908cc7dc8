/** What v86 is given: the saved state of the guest, or what it boots from. Files are those of build/guest/v86. */
import v86Wasm from "v86/build/v86.wasm?url";

/** Names of the guest's files, as set-up writes them. */
interface GuestImage {
  readonly commandLine: string;
  readonly files: Readonly<Record<"kernel" | "initrd" | "bios" | "vgaBios", string>>;
}

/** Options of v86 that decide which machine it is: a state fits only into the same one. */
export type Machine = Readonly<Record<string, unknown>>;

export interface MachineSource {
  readonly machine: Machine;
  /** What it starts from. */
  readonly source: Readonly<Record<string, unknown>>;
  readonly wasRestored: boolean;
}

const GUEST = new URL("guest/", location.href);
const MIB = 1024 * 1024;

/** How v86 is to be made beside machine and source. */
export const COMMON_OPTIONS = {
  wasm_path: v86Wasm,
  preserve_mac_from_state_image: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
  autostart: true,
} as const;

/** The guest as set-up left it. */
export async function readImage(nic: "virtio" | "ne2k"): Promise<MachineSource> {
  const stamp = await fetch(new URL(`state-${nic}.json`, GUEST));
  if (stamp.ok) {
    const { machine } = (await stamp.json()) as { machine: Machine };
    const state = await load(`state-${nic}.bin.zst`);
    return { machine, source: { initial_state: state }, wasRestored: true };
  }
  const image = (await (await fetch(new URL("image.json", GUEST))).json()) as GuestImage;
  const { files } = image;
  const machine = {
    memory_size: 128 * MIB,
    vga_memory_size: 2 * MIB,
    net_device: { type: nic },
    uart1: true,
  };
  const source = {
    bios: await load(files.bios),
    vga_bios: await load(files.vgaBios),
    bzimage: await load(files.kernel),
    initrd: await load(files.initrd),
    cmdline: image.commandLine,
  };
  return { machine, source, wasRestored: false };
}

async function load(name: string): Promise<{ buffer: ArrayBuffer }> {
  const response = await fetch(new URL(name, GUEST));
  if (!response.ok) throw new Error(`${response.url}: ${String(response.status)}`);
  return { buffer: await response.arrayBuffer() };
}
