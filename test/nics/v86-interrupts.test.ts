/**
 * The state of v86's interrupt controller that it does not leave by itself: recognized and ended, in v86 itself, whose inside
 * is not documented, so that a new v86 that moves it is noticed.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { V86 } from "v86";
import { V86Interrupts } from "../../src/nics/v86-interrupts.js";
import { makeV86Machine } from "../support/v86-machine.js";

interface Cpu {
  in_hlt: Uint8Array;
  flags: Int32Array;
  wasm_memory: WebAssembly.Memory;
  get_pic_addr_master(): number;
  get_pic_addr_slave(): number;
}

const IN_SERVICE = 2;
const INTERRUPTS_ON = 0x202;
const INTERRUPTS_OFF = 0x002;

let emulator: V86;
let cpu: Cpu;

beforeEach(async () => {
  emulator = await makeV86Machine("ne2k");
  ({ cpu } = (emulator as unknown as { v86: { cpu: Cpu } }).v86);
});

afterEach(async () => {
  await emulator.destroy();
});

/** The machine as it is after the interrupt was lost. */
function block(options: {
  halted?: boolean;
  flags?: number;
  first?: number;
  second?: number;
}): void {
  const { halted = true, flags = INTERRUPTS_ON, first = 4, second = 0 } = options;
  cpu.in_hlt[0] = halted ? 1 : 0;
  cpu.flags[0] = flags;
  const memory = new Uint8Array(cpu.wasm_memory.buffer);
  memory[cpu.get_pic_addr_master() + IN_SERVICE] = first;
  memory[cpu.get_pic_addr_slave() + IN_SERVICE] = second;
}

function inService(): number | undefined {
  return new Uint8Array(cpu.wasm_memory.buffer)[cpu.get_pic_addr_master() + IN_SERVICE];
}

describe("V86Interrupts", () => {
  it("ends a service of the second controller that serves nothing", () => {
    block({});
    const interrupts = new V86Interrupts(emulator);
    expect(interrupts.unblock()).toBe(true);
    expect(inService()).toBe(0);
    expect(interrupts.unblock()).toBe(false);
  });

  it("leaves other inputs in service", () => {
    block({ first: 4 | 1 });
    expect(new V86Interrupts(emulator).unblock()).toBe(true);
    expect(inService()).toBe(1);
  });

  it.each([
    ["the CPU runs: it may be between two acknowledgements", { halted: false }],
    ["the CPU is halted without interrupts", { flags: INTERRUPTS_OFF }],
    ["the second controller serves something", { second: 4 }],
    ["the first controller serves something else", { first: 1 }],
  ])("does nothing while %s", (_why, state) => {
    block(state);
    expect(new V86Interrupts(emulator).unblock()).toBe(false);
    expect(inService()).toBe("first" in state ? state.first : 4);
  });

  it("does nothing where it finds no v86", () => {
    expect(new V86Interrupts({}).unblock()).toBe(false);
    expect(new V86Interrupts({ v86: { cpu: {} } }).unblock()).toBe(false);
  });
});
