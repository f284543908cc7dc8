/** What tests of `netns` begin with: a namespace for each, a folder, and programs that give the namespace a network. All ends with the test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { GuestNamespace } from "./guest-namespace.js";
import { NetnsProcess, type NetnsProgram, type StartOptions } from "./netns-program.js";

export class NetnsWorld {
  readonly guest: GuestNamespace;
  readonly folder = mkdtempSync(join(tmpdir(), "netns-"));
  readonly #running: NetnsProcess[] = [];

  constructor(guest: GuestNamespace) {
    this.guest = guest;
  }

  /** Starts the program and waits until it is ready; `words` without what stands at the end: the namespace and the TAP. */
  startFor(
    program: NetnsProgram,
    words: readonly string[],
    options: StartOptions = {},
  ): Promise<NetnsProcess> {
    return this.start(program, [...words, String(this.guest.pid), "tap0"], options);
  }

  /** The same with all words. */
  async start(
    program: NetnsProgram,
    words: readonly string[],
    options: StartOptions = {},
  ): Promise<NetnsProcess> {
    const process = await NetnsProcess.start(program, words, options);
    this.#running.push(process);
    return process;
  }

  async close(): Promise<void> {
    for (const process of this.#running) await process.stop();
    await this.guest.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** To be called in a suite: the world of the test that is running. */
export function useNetnsWorld(): () => NetnsWorld {
  let world: NetnsWorld;
  beforeEach(async () => {
    world = new NetnsWorld(await GuestNamespace.create());
  });
  afterEach(() => world.close());
  return () => world;
}
