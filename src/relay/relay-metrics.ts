/** What a relay counts, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). A registry of its own. */
import { Counter, Gauge, Registry } from "prom-client";

/** See the top of the file. */
export class RelayMetrics {
  readonly registry = new Registry();
  readonly connections = new Gauge({
    name: "slirp_relay_connections",
    help: "WebSockets that are open",
    registers: [this.registry],
  });
  readonly streams = new Gauge({
    name: "slirp_relay_streams",
    help: "Streams that are open or being opened",
    registers: [this.registry],
  });
  readonly listeners = new Gauge({
    name: "slirp_relay_listeners",
    help: "Ports that are open, or being opened, for clients",
    registers: [this.registry],
  });
  readonly bytes = new Counter({
    name: "slirp_relay_bytes_total",
    help: "Bytes of WebSocket messages, by direction as the relay sees it",
    labelNames: ["direction"],
    registers: [this.registry],
  });
  /** The same by direction, looked up once: they are counted for every message. */
  readonly bytesIn = this.bytes.labels("in");
  readonly bytesOut = this.bytes.labels("out");
  readonly refusals = new Counter({
    name: "slirp_relay_refusals_total",
    help: "Connections and streams refused, by rule",
    labelNames: ["rule"],
    registers: [this.registry],
  });
  readonly rooms = new Gauge({
    name: "slirp_relay_rooms",
    help: "Ethernet rooms that are open",
    registers: [this.registry],
  });
  readonly roomMembers = new Gauge({
    name: "slirp_relay_room_members",
    help: "Members of all rooms",
    registers: [this.registry],
  });
  readonly droppedFrames = new Counter({
    name: "slirp_relay_dropped_frames_total",
    help: "Ethernet frames dropped because a member read too slowly",
    registers: [this.registry],
  });
  readonly dnsAnswers = new Counter({
    name: "slirp_relay_dns_answers_total",
    help: "Answers by DNS over HTTPS, by HTTP status",
    labelNames: ["status"],
    registers: [this.registry],
  });
}
