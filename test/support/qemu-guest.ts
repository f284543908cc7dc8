/**
 * A Linux guest under QEMU, by software emulation (`-accel tcg`): the image that set-up makes in build/guest/qemu, with the
 * same agent and the same methods as the guest under v86. The NIC is what the test asks for.
 *
 * The guest's console is QEMU's standard input and output, its control port a unix socket on which we listen.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Guest } from "../../src/cli/guest.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";

const QEMU = "qemu-system-x86_64";
const IMAGE_FOLDER = fileURLToPath(new URL("../../build/guest/qemu", import.meta.url));
const DEFAULT_MEMORY_MIB = 256;
/** A boot takes 3 s on an idle machine. */
const DEFAULT_START_TIMEOUT_MS = 180_000;
/** How long QEMU may take to end by itself before it is killed. */
const END_TIMEOUT_MS = 5_000;

/** Options of {@link QemuGuest.start}. */
export interface QemuGuestOptions {
  /**
   * QEMU's arguments for the NIC: its `-netdev`, and its `-device` as {@link virtioNetDevice} gives it. Empty: no NIC.
   */
  readonly netdev: readonly string[];
  /** A descriptor that QEMU is given as its 3. It stays the caller's. */
  readonly descriptor?: number;
  /** Default: 256. */
  readonly memoryMiB?: number;
  /** Default: 1. */
  readonly processors?: number;
  /** A cpio archive that the guest has beside its own files, in memory as they are. */
  readonly archive?: Uint8Array;
  /** Milliseconds until the agent must have answered. Default: 3 minutes. */
  readonly startTimeoutMs?: number;
  /** Everything that the console prints. */
  readonly onConsole?: ((bytes: Uint8Array) => void) | undefined;
}

/**
 * Why guests cannot run here, for `ctx.skip`.
 *
 * @returns undefined when they can
 */
export function qemuMissing(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  if (!folders.some((folder) => existsSync(join(folder, QEMU)))) {
    return `${QEMU} is not on PATH (Debian package qemu-system-x86)`;
  }
  if (!existsSync(join(IMAGE_FOLDER, "image.json"))) {
    return `the guest image in ${IMAGE_FOLDER} is not there; \`npm run setup\` makes it`;
  }
  return undefined;
}

/**
 * A virtio NIC for a `-netdev`. Without boot ROM: it would only lengthen the boot.
 *
 * @param netdevId the `id` of the -netdev
 * @param properties more of QEMU's properties, such as "mac=52:54:00:12:34:56"
 */
export function virtioNetDevice(netdevId: string, ...properties: string[]): string[] {
  return ["-device", ["virtio-net-pci", `netdev=${netdevId}`, "romfile=", ...properties].join(",")];
}

/** A guest under QEMU. Made by {@link QemuGuest.start}, ended by {@link QemuGuest.stop}. */
export class QemuGuest extends Guest {
  readonly #child: ChildProcess;
  readonly #server: Server;
  readonly #folder: string;
  #control: Socket | undefined;
  #stopping: Promise<void> | undefined;
  #errorOutput = "";

  /** @throws SlirpError `guestFailed` when QEMU ends at once or the guest is not ready in time */
  static async start(options: QemuGuestOptions): Promise<QemuGuest> {
    const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-qemu-"));
    const controlPath = join(folder, "control");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(controlPath, resolve));
    const image = await readFile(join(IMAGE_FOLDER, "image.json"), "utf8");
    const { commandLine } = JSON.parse(image) as { commandLine: string };
    const initrd = await placeInitrd(folder, options.archive);
    const place = { folder, server, controlPath, commandLine, initrd };
    const guest = new QemuGuest(options, place);
    try {
      await guest.#becomeReady(options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS);
    } catch (error) {
      await guest.stop();
      throw error;
    }
    return guest;
  }

  private constructor(
    options: QemuGuestOptions,
    place: Place & { folder: string; server: Server },
  ) {
    super(options.onConsole);
    this.#folder = place.folder;
    this.#server = place.server;
    this.#server.on("connection", (socket) => {
      this.#control = socket;
      socket.on("data", (bytes) => this.agent.receive(bytes));
      socket.on("error", () => {});
    });
    const { descriptor } = options;
    this.#child = spawn(QEMU, qemuArguments(options, place), {
      stdio: ["pipe", "pipe", "pipe", ...(descriptor === undefined ? [] : [descriptor])],
    });
    this.#child.stdout?.on("data", (bytes: Buffer) => this.receiveConsole(bytes));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errorOutput += text;
    });
    this.#child.stdin?.on("error", () => {});
    this.#child.on("error", (error) =>
      this.markEnded(`QEMU could not be started: ${error.message}`),
    );
    this.#child.on("close", () => {
      const reason = this.#errorOutput.trim();
      this.markEnded(`QEMU has ended${reason === "" ? "" : `: ${reason}`}`);
    });
  }

  /** QEMU's process ID, to read its figures by. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  async #becomeReady(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const message = `the guest under QEMU was not ready within ${timeoutMs / 1000} s`;
      timer = setTimeout(() => reject(new SlirpError(ErrorCode.guestFailed, message)), timeoutMs);
    });
    try {
      await Promise.race([this.agentReady, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  override consoleWrite(bytes: Uint8Array): void {
    this.#child.stdin?.write(bytes);
  }

  protected override writeControl(bytes: Uint8Array): void {
    this.#control?.write(bytes);
  }

  override async stop(): Promise<void> {
    this.#stopping ??= this.#end();
    await this.#stopping;
  }

  async #end(): Promise<void> {
    this.markEnded("the guest has been stopped");
    await endChild(this.#child);
    this.#control?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

interface Place {
  readonly controlPath: string;
  readonly commandLine: string;
  readonly initrd: string;
}

/** The kernel unpacks archives that lie one behind the other; each begins at a multiple of four bytes. */
async function placeInitrd(folder: string, archive: Uint8Array | undefined): Promise<string> {
  const own = join(IMAGE_FOLDER, "initrd");
  if (!archive) return own;
  const both = join(folder, "initrd");
  const bytes = await readFile(own);
  await writeFile(both, [bytes, new Uint8Array((4 - (bytes.length % 4)) % 4), archive]);
  return both;
}

function qemuArguments(
  { netdev, memoryMiB = DEFAULT_MEMORY_MIB, processors = 1 }: QemuGuestOptions,
  { controlPath, commandLine, initrd }: Place,
): string[] {
  return [
    ...["-accel", "tcg", "-cpu", "max", "-m", String(memoryMiB), "-smp", String(processors)],
    ...["-nodefaults", "-nographic", "-no-reboot"],
    ...["-kernel", join(IMAGE_FOLDER, "vmlinuz"), "-initrd", initrd],
    ...["-append", commandLine],
    ...["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"],
    ...["-chardev", `socket,id=control,path=${controlPath}`, "-serial", "chardev:control"],
    ...["-device", "virtio-rng-pci"],
    ...netdev,
  ];
}

/** Asks the process to end, then makes it, and waits until it has. */
async function endChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
