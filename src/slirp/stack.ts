/**
 * One stack: an instance of the module, its sockets, its frames and its turns. The slirp backend (slirp.ts) is the face of it.
 *
 * Everything that goes into the module passes `call`: an exception from there means that C has given up (an assertion, memory
 * exhausted, a trap). Then this stack alone is over: its sockets are closed, its owner is told, and nothing calls it again.
 */
import type { FrameBatch } from "../backend.js";
import type { HostEndpoint } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { HostNetwork } from "../host-network.js";
import type { LogLevel } from "../slirp-backend.js";
import type { ResolvedSlirpOptions } from "../slirp-options.js";
import { createStack } from "./configure.js";
import { FrameAreas } from "./frame-areas.js";
import type { HostCallContext } from "./host-call-context.js";
import { createHostCalls } from "./host-calls.js";
import { ModuleInstance, SharedField, type SlirpPointer } from "./module-instance.js";
import { SocketTable } from "./socket-table.js";
import { TurnLoop, type TurnResult } from "./turn-loop.js";

/** The levels of wasm/glib/glib.h by index. */
const logLevels = ["debug", "warning", "critical", "fatal"] as const satisfies LogLevel[];

/** What the stack tells its owner. None of them may throw. */
export interface StackObserver {
  onFrames(batch: FrameBatch): void;
  /** A turn has made room for frames from the guest. */
  onRoom(): void;
  onFailure(error: SlirpError): void;
  onLog(level: LogLevel, text: string): void;
}

const NEVER: TurnResult = { dueMs: -1, advertisementDueMs: -1, hasMore: false };

/** See the top of the file. */
export class Stack {
  readonly table: SocketTable;
  readonly areas: FrameAreas;
  readonly loop: TurnLoop;
  readonly instance: ModuleInstance;
  readonly pointer: SlirpPointer;
  /** Where guest forwards connect to, by the name that libslirp knows them by. */
  readonly guestForwardTargets = new Map<string, HostEndpoint>();
  /** Who takes what the guest sends on a guest channel, by its number. */
  readonly guestChannels = new Map<number, (bytes: Uint8Array) => void>();

  /** The turn is libslirp's own walk over all sockets instead of our list of ready ones: for comparison. */
  turnByWalk = false;

  private failure: SlirpError | undefined;
  private lastFatal: string | undefined;
  private inModule = false;
  private pushing = false;
  private holding = false;
  private destroyed = false;

  /** @throws SlirpError `moduleUnusable` or `invalidConfiguration`. */
  constructor(
    module: WebAssembly.Module,
    network: HostNetwork,
    options: ResolvedSlirpOptions,
    private readonly observer: StackObserver,
  ) {
    this.loop = new TurnLoop(network, (nowMs) => this.runTurn(nowMs));
    let table: SocketTable | undefined;
    this.instance = new ModuleInstance(module, (instance) => {
      table = new SocketTable(network, instance, this.loop.requestAfterEvents);
      return createHostCalls(this.hostCallContext(instance, table));
    });
    this.table = table as unknown as SocketTable;
    this.areas = new FrameAreas(this.instance);
    const pointer = this.call(() => createStack(this.instance, options, network.nowMs()));
    this.pointer = pointer;
    this.loop.requestSoon();
  }

  /** What C says no more than once: the stack is over, and why. */
  get failed(): SlirpError | undefined {
    return this.failure;
  }

  /** `destroy` was called. */
  get isDestroyed(): boolean {
    return this.destroyed;
  }

  /** A call is under way: the module may not be entered, and frames that come now wait for the next turn. */
  get isBusy(): boolean {
    return this.inModule;
  }

  /** Frames are handed to the observer (true) or kept (false). */
  setPushing(pushing: boolean): void {
    this.pushing = pushing;
    this.instance.set(SharedField.receiveEnabled, Number(pushing && !this.holding));
    if (pushing) this.loop.requestSoon();
  }

  /** Runs a turn without handing frames out: to make room for more frames from a NIC that is in the middle of sending. */
  makeRoom(): void {
    this.holding = true;
    this.setPushing(this.pushing);
    this.loop.runNow();
    this.holding = false;
    this.setPushing(this.pushing);
    this.loop.requestSoon();
  }

  /** Calls into the module. @throws SlirpError `stackFailed` where C has given up, now or before. */
  call<Result>(use: () => Result): Result {
    if (this.failure) throw this.failure;
    const outer = this.inModule;
    this.inModule = true;
    try {
      return use();
    } catch (cause) {
      if (cause instanceof SlirpError) throw cause;
      throw this.fail(cause);
    } finally {
      this.inModule = outer;
    }
  }

  /** Ends the stack: the module first, which closes its sockets, then what it left. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.loop.stop();
    if (!this.failure) {
      try {
        this.call(() => {
          this.instance.exports.stack_destroy();
        });
      } catch (error) {
        this.observer.onLog("critical", String(error));
      }
    }
    this.table.closeAll();
  }

  private hostCallContext(instance: ModuleInstance, table: SocketTable): HostCallContext {
    return {
      instance,
      table,
      deliver: () => {
        this.deliver();
      },
      log: (level: number, text: string) => {
        if (logLevels[level] === "fatal") this.lastFatal = text;
        this.observer.onLog(logLevels[level] ?? "critical", text);
      },
      guestForwardTarget: (name: string) => this.guestForwardTargets.get(name),
      guestChannelData: (id: number, bytes: Uint8Array) => {
        this.guestChannels.get(id)?.(bytes);
      },
    };
  }

  private deliver(): void {
    if (!this.pushing || this.holding) return;
    const batch = this.areas.takeOutput();
    if (!batch) return;
    this.tell("onFrames", () => {
      this.observer.onFrames(batch);
    });
  }

  /** What a NIC's callback throws must neither pass through C nor stop the turns. */
  private tell(what: string, callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.observer.onLog("critical", `the NIC's ${what} threw: ${String(error)}`);
    }
  }

  private runTurn(nowMs: number): TurnResult {
    if (this.failure || this.destroyed || this.inModule) return NEVER;
    const { exports } = this.instance;
    try {
      const dueMs = this.call(() =>
        this.turnByWalk ? exports.stack_turn_by_walk(nowMs) : exports.stack_turn(nowMs),
      );
      this.table.network.endTurn?.();
      this.deliver();
      this.tell("onWritable", () => {
        this.observer.onRoom();
      });
      if (this.wasDestroyed()) return NEVER;
      return {
        dueMs,
        advertisementDueMs: this.call(() => exports.stack_advertisement_due()),
        hasMore: this.call(() => exports.stack_has_more()) !== 0,
      };
    } catch (error) {
      if (!this.failure) this.observer.onLog("critical", String(error));
      return NEVER;
    }
  }

  /** Read again after a callback, which may have ended the stack. */
  private wasDestroyed(): boolean {
    return this.destroyed;
  }

  private fail(cause: unknown): SlirpError {
    const reason = this.lastFatal ?? (cause instanceof Error ? cause.message : String(cause));
    const message = `the stack ended itself: ${reason}. Close it and make a new one; other stacks are not concerned.`;
    const failure = new SlirpError(ErrorCode.stackFailed, message, { cause });
    this.failure = failure;
    this.loop.stop();
    // Not now: sockets' callbacks and the owner's must not run in the middle of whatever called.
    queueMicrotask(() => {
      this.table.closeAll();
      if (!this.destroyed) this.observer.onFailure(failure);
    });
    return failure;
  }
}
