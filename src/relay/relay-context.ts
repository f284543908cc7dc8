/** What the sessions of a relay have in common. */
import type { Credentials } from "./credentials.js";
import type { ListenPolicy } from "./listen-policy.js";
import type { RelayLimits } from "./limits.js";
import type { LogSink } from "../log-sink.js";
import type { RelayMetrics } from "./relay-metrics.js";
import type { TargetPolicy } from "./target-policy.js";

/** See the top of the file. */
export interface RelayContext {
  readonly policy: TargetPolicy;
  /** The ports that clients may have opened; undefined: none. */
  readonly listenPolicy: ListenPolicy | undefined;
  readonly limits: RelayLimits;
  readonly credentials: Credentials;
  /** What the relay says of itself. */
  readonly motd: string | undefined;
  readonly log: LogSink;
  readonly metrics: RelayMetrics;
  /** No new streams. */
  readonly isDraining: boolean;
}

/** A client's session, whatever it speaks. */
export interface RelaySession {
  /** A message of the client. */
  receive(message: Buffer, isBinary: boolean): void;
  /** The WebSocket is closed. */
  end(): void;
  /** The relay is about to end. */
  drain(): void;
}
