/** What a relay counts, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). A registry of its own. */
import { Counter, Gauge, Registry } from "prom-client";

/** The counters of a relay: each one's text says what it counts. Names are given without the `slirp_relay_` that all of them begin with. */
export class RelayMetrics {
  /** What `/metrics` prints; others may be registered beside. */
  readonly registry = new Registry();
  readonly connections = this.#gauge("connections", "WebSockets that are open");
  readonly streams = this.#gauge("streams", "Streams that are open or being opened");
  readonly listeners = this.#gauge(
    "listeners",
    "Ports that are open, or being opened, for clients",
  );
  readonly bytes = this.#counter(
    "bytes",
    "Bytes of WebSocket messages, by direction as the relay sees it",
    "direction",
  );
  /** The same by direction, looked up once: they are counted for every message. */
  readonly bytesIn = this.bytes.labels("in");
  readonly bytesOut = this.bytes.labels("out");
  readonly refusals = this.#counter("refusals", "Connections and streams refused, by rule", "rule");
  readonly rooms = this.#gauge("rooms", "Ethernet rooms that are open");
  readonly roomMembers = this.#gauge("room_members", "Members of all rooms");
  readonly droppedFrames = this.#counter(
    "dropped_frames",
    "Ethernet frames dropped because a member read too slowly",
  );
  readonly dnsAnswers = this.#counter(
    "dns_answers",
    "Answers by DNS over HTTPS, by HTTP status",
    "status",
  );

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `slirp_relay_${name}`, help, registers: [this.registry] });
  }

  #counter<Label extends string>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> {
    const registers = [this.registry];
    return new Counter({ name: `slirp_relay_${name}_total`, help, labelNames, registers });
  }
}
