/**
 * Frees v86's interrupt controller from a state that it does not leave by itself.
 *
 * A PCI card's interrupt reaches the CPU through the second controller's line, input 2 of the first. Where a guest silences
 * the card (Linux's ne2k driver does before it sends) after v86 has signalled the interrupt and before the CPU has taken
 * it, a real 8259A gives a spurious interrupt, which the guest acknowledges. v86 (0.5.462, src/rust/cpu/pic.rs) gives
 * none, but marks input 2 as being served; nobody ends that, and from then on the guest gets the timer's and the keyboard's
 * interrupts only: no frame, no serial port. It was seen once in some hundred thousand frames.
 *
 * The state is recognized beyond doubt: the first controller serves the second, which serves nothing, and the CPU is halted
 * with interrupts on, so it is not between the two acknowledgements of a handler. Ending the service is what the guest
 * would have done. v86 does not document any of this; where it is not found, nothing is done.
 */

/** The way from an emulator to its CPU; every step may be missing. */
interface Internals {
  readonly v86?: { readonly cpu?: Partial<Cpu> };
}

interface Cpu {
  /** One element, not 0 while the CPU is halted. */
  readonly in_hlt: ArrayLike<number>;
  /** One element: EFLAGS. */
  readonly flags: ArrayLike<number>;
  readonly wasm_memory: { readonly buffer: ArrayBuffer };
  /** Where the controllers' registers are; their order is part of v86's saved states. */
  get_pic_addr_master(): number;
  get_pic_addr_slave(): number;
}

/** EFLAGS: interrupts are on. */
const INTERRUPT_FLAG = 1 << 9;
/** In-service register: the place in a controller's registers. */
const IN_SERVICE_OFFSET = 2;
/** The first controller's input that the second one is on. */
const CASCADE_INPUT = 1 << 2;

/** See the top of the file. */
export class V86Interrupts {
  readonly #emulator: Internals;
  #cpu: Cpu | undefined;

  constructor(emulator: object) {
    this.#emulator = emulator;
  }

  /** Ends a service that never ends, if there is one; answers whether there was. */
  unblock(): boolean {
    const cpu = (this.#cpu ??= findCpu(this.#emulator));
    if (!cpu?.in_hlt[0] || !((cpu.flags[0] ?? 0) & INTERRUPT_FLAG)) return false;
    const memory = new Uint8Array(cpu.wasm_memory.buffer);
    const first = cpu.get_pic_addr_master() + IN_SERVICE_OFFSET;
    const inService = memory[first] ?? 0;
    if (!(inService & CASCADE_INPUT)) return false;
    if (memory[cpu.get_pic_addr_slave() + IN_SERVICE_OFFSET] !== 0) return false;
    memory[first] = inService & ~CASCADE_INPUT;
    return true;
  }
}

function findCpu(emulator: Internals): Cpu | undefined {
  const cpu = emulator.v86?.cpu;
  const isKnown =
    typeof cpu?.get_pic_addr_master === "function" &&
    typeof cpu.get_pic_addr_slave === "function" &&
    cpu.in_hlt !== undefined &&
    cpu.flags !== undefined &&
    cpu.wasm_memory !== undefined;
  return isKnown ? (cpu as Cpu) : undefined;
}
