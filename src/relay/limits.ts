/** What a relay gives its clients at most. Every number has a default that serves a small public relay. */

/** What a relay gives its clients at most. */
export interface RelayLimits {
  /** WebSockets in all. Default 1000. */
  readonly maxConnections: number;
  /** WebSockets of one client address. Default 64. */
  readonly maxConnectionsPerClient: number;
  /** Streams and listeners of one WebSocket. Default 1024. */
  readonly maxStreams: number;
  /** Ports that one WebSocket may have opened. Default 16. */
  readonly maxListenersPerConnection: number;
  /** The same of all clients together. Default 256. */
  readonly maxListeners: number;
  /** Streams opened by one WebSocket in a second, once as many as that were opened at once. Default 200. */
  readonly connectsPerSecond: number;
  /** Bytes of one client address in a second, both ways together; who has had them waits. Default: no bound. */
  readonly bytesPerSecondPerClient: number;
  /** The same of all clients together. Default: no bound. */
  readonly bytesPerSecond: number;
  /** Packets of a TCP stream that a client may send unasked. Default 128. */
  readonly creditPackets: number;
  /** Longest message of a client, bytes. Default 1 MiB. */
  readonly maxMessageBytes: number;
  /** What may wait for one WebSocket before its streams are not read any more, bytes. Default 1 MiB. */
  readonly maxQueuedBytes: number;
  /** What may wait for the targets of one WebSocket before it is not read any more, bytes. Default 32 MiB. */
  readonly maxTargetQueueBytes: number;
  /** From the WebSocket's beginning to the end of the handshake, milliseconds. Default 10,000. */
  readonly handshakeTimeoutMs: number;
  /** For a target to answer, looking its name up included, milliseconds. Default 15,000. */
  readonly connectTimeoutMs: number;
  /** Between two pings; a client that does not answer until the next is gone. Milliseconds, default 30,000. */
  readonly pingIntervalMs: number;
  /** A UDP stream without a datagram ends after that time, milliseconds. Default 60,000. */
  readonly udpIdleTimeoutMs: number;
  /** A TCP connection without a byte either way ends after that time, milliseconds. Default 7,440,000: what RFC 5382 asks of a NAT. */
  readonly tcpIdleTimeoutMs: number;
  /**
   * A WebSocket without a message either way is closed after that time, looked at with each ping; clients come back when they need it.
   * Milliseconds, default 7,500,000.
   */
  readonly idleTimeoutMs: number;
  /** How long a target may take for what it was sent, after its client has closed the stream. Milliseconds, default 30,000. */
  readonly lingerMs: number;
  /** Rooms. Each has a stack of its own, some megabytes. Default 32. */
  readonly maxRooms: number;
  /** Members of a room. Default 16. */
  readonly maxRoomMembers: number;
  /** Frames of one member in a second; who has sent them is not read for a while. Default 20,000, some 240 Mbit. */
  readonly framesPerSecond: number;
  /** How long a room lasts without members, milliseconds. Default 10,000. */
  readonly roomLingerMs: number;
  /** Questions by DNS over HTTPS of one client address in a second, once as many as that were asked at once. Default 100. */
  readonly dnsPerSecondPerClient: number;
  /** The same of all clients together. Default 1000. */
  readonly dnsPerSecond: number;
  /** For a resolver to answer, the second and later ones included, milliseconds. Default 5000. */
  readonly dnsTimeoutMs: number;
}

/** See {@link RelayLimits}. */
export const DEFAULT_LIMITS: RelayLimits = {
  maxConnections: 1000,
  maxConnectionsPerClient: 64,
  maxStreams: 1024,
  maxListenersPerConnection: 16,
  maxListeners: 256,
  connectsPerSecond: 200,
  bytesPerSecondPerClient: Infinity,
  bytesPerSecond: Infinity,
  creditPackets: 128,
  maxMessageBytes: 1024 * 1024,
  maxQueuedBytes: 1024 * 1024,
  maxTargetQueueBytes: 32 * 1024 * 1024,
  handshakeTimeoutMs: 10_000,
  connectTimeoutMs: 15_000,
  pingIntervalMs: 30_000,
  udpIdleTimeoutMs: 60_000,
  tcpIdleTimeoutMs: 7_440_000,
  idleTimeoutMs: 7_500_000,
  lingerMs: 30_000,
  maxRooms: 32,
  maxRoomMembers: 16,
  framesPerSecond: 20_000,
  roomLingerMs: 10_000,
  dnsPerSecondPerClient: 100,
  dnsPerSecond: 1000,
  dnsTimeoutMs: 5000,
};
