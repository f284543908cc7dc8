/**
 * The machine that v86 emulates for our guest. A saved state can be restored only into the very same machine, so what
 * makes it up stands here alone; set-up saves states anew when this file changes.
 */

/** The NICs that v86 emulates. */
export type V86Nic = "virtio" | "ne2k";

/** What set-up saves states for. The kernel's initrd is put at 64 MiB: less than 128 MiB does not do. */
export const DEFAULT_MEMORY_MIB = 128;

const MIB = 1024 * 1024;

/** Options of v86 that decide which machine it is. */
export function describeMachine(nic: V86Nic, memoryMiB: number) {
  return {
    memory_size: memoryMiB * MIB,
    // Nobody looks at the screen.
    vga_memory_size: 2 * MIB,
    net_device: { type: nic },
    // For the agent; the first serial port, the console, is always there.
    uart1: true,
  };
}
