/**
 * Rooms: Ethernet networks of clients that share a name, each a switch with a gateway of its own. A room is made with its first member and
 * ends some time after its last, so that who comes back at once (a page that was loaded anew) finds lease and connections as they were.
 *
 * What the gateway is, the relay is told by whoever makes it: a stack, in the entry file. It reaches what the relay's policy lets it reach.
 */
import type { NetBackend } from "../backend.js";
import { createSwitch, type FrameSwitch } from "../frames/frame-switch.js";
import type { RelayLimits } from "./limits.js";
import type { LogSink } from "../log-sink.js";
import type { RelayMetrics } from "./relay-metrics.js";
import type { TargetPolicy } from "./target-policy.js";

/** What a gateway is made for. */
export interface GatewayRequest {
  /** The room's name. */
  readonly room: string;
  /** Whether the room's guests may reach an address; a refusal is counted, and logged with its rule. */
  readonly allows: (address: string, port: number) => boolean;
}

/** Makes the gateway of a room: a backend that is the room's to close. */
export type CreateGateway = (request: GatewayRequest) => Promise<NetBackend>;

/** What rooms have of their relay. */
export interface RoomsContext {
  readonly policy: TargetPolicy;
  readonly limits: RelayLimits;
  readonly log: LogSink;
  readonly metrics: RelayMetrics;
}

/** A member, as the room knows it. */
export interface RoomMember {
  /** The gateway has ended by itself, and the room with it. */
  onRoomFailed(error: Error): void;
}

interface Room {
  readonly key: string;
  readonly name: string;
  readonly members: Set<RoomMember>;
  readonly opening: Promise<OpenRoom>;
  closeTimer: NodeJS.Timeout | undefined;
}

interface OpenRoom {
  readonly gateway: NetBackend;
  readonly bridge: FrameSwitch;
}

/** See the top of the file. */
export class Rooms {
  readonly #context: RoomsContext;
  readonly #createGateway: CreateGateway;
  readonly #rooms = new Map<string, Room>();
  /** Rooms that are being closed. */
  readonly #closing = new Set<Promise<void>>();

  constructor(context: RoomsContext, createGateway: CreateGateway) {
    this.#context = context;
    this.#createGateway = createGateway;
  }

  /** Why nobody may join this room now; undefined where somebody may. */
  refusal(key: string): string | undefined {
    const { maxRooms, maxRoomMembers } = this.#context.limits;
    const room = this.#rooms.get(key);
    if (room) return room.members.size >= maxRoomMembers ? "The room is full" : undefined;
    // A room without members gives way to a new one.
    if (this.#rooms.size < maxRooms || this.#findEmpty()) return undefined;
    return "There are too many rooms";
  }

  /**
   * Makes `member` a member of the room, which is made where there is none. `key` tells rooms apart, `name` is what logs say. Answers
   * the member's port of the room's switch; rejects where the gateway cannot be made.
   */
  async join(key: string, name: string, member: RoomMember): Promise<NetBackend> {
    const room = this.#rooms.get(key) ?? this.#open(key, name);
    clearTimeout(room.closeTimer);
    room.members.add(member);
    this.#context.metrics.roomMembers.inc();
    const { bridge } = await room.opening;
    return bridge.openPort(name);
  }

  /** The member is gone, whatever became of its joining. Its port is its own to close. */
  leave(key: string, member: RoomMember): void {
    this.#context.metrics.roomMembers.dec();
    const room = this.#rooms.get(key);
    // A room that failed is not here any more, or another of its name is.
    if (!room?.members.delete(member) || room.members.size > 0) return;
    room.closeTimer = setTimeout(() => {
      this.#close(room);
    }, this.#context.limits.roomLingerMs);
  }

  /** Closes all of them. */
  async close(): Promise<void> {
    for (const room of this.#rooms.values()) this.#close(room);
    await Promise.all(this.#closing);
  }

  #findEmpty(): Room | undefined {
    for (const room of this.#rooms.values()) if (room.members.size === 0) return room;
    return undefined;
  }

  #open(key: string, name: string): Room {
    const empty = this.#rooms.size >= this.#context.limits.maxRooms ? this.#findEmpty() : undefined;
    if (empty) this.#close(empty);
    const room: Room = {
      key,
      name,
      members: new Set(),
      opening: this.#openGateway(name, (error) => {
        this.#fail(room, error);
      }),
      closeTimer: undefined,
    };
    // Who joins is told; nobody else waits for it.
    room.opening.catch((error: unknown) => {
      this.#fail(room, error);
    });
    this.#rooms.set(key, room);
    this.#context.metrics.rooms.inc();
    this.#context.log.info({ room: name }, "opened a room");
    return room;
  }

  async #openGateway(name: string, onFailed: (error: Error) => void): Promise<OpenRoom> {
    const { policy, log, metrics } = this.#context;
    const gateway = await this.#createGateway({
      room: name,
      allows: (address, port) => {
        const { allowed, rule } = policy.judge(address, port);
        if (allowed) return true;
        metrics.refusals.inc({ rule: "blocked" });
        log.info({ room: name, rule, target: `${address}:${String(port)}` }, "refused a stream");
        return false;
      },
    });
    return { gateway, bridge: createSwitch(gateway, { onUplinkError: onFailed }) };
  }

  #fail(room: Room, error: unknown): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#context.log.warn({ room: room.name, err: failure }, "a room's gateway has failed");
    const members = [...room.members];
    this.#close(room);
    for (const member of members) member.onRoomFailed(failure);
  }

  #close(room: Room): void {
    clearTimeout(room.closeTimer);
    if (this.#rooms.get(room.key) !== room) return;
    this.#rooms.delete(room.key);
    room.members.clear();
    this.#context.metrics.rooms.dec();
    const closing = this.#closeGateway(room).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  async #closeGateway({ opening, name }: Room): Promise<void> {
    const open = await opening.catch(() => undefined);
    await open?.bridge.close();
    await open?.gateway.close();
    this.#context.log.info({ room: name }, "closed a room");
  }
}
