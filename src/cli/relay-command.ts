/** The command line of `slirp-wasm relay`; what the command does is in `relay.ts`, loaded when it is run. */
import type { Command } from "commander";
import { PROGRAM_NAME, type LogOptions } from "./logging.js";
import { collect } from "./options.js";
import type { RelayFlags } from "./relay.js";

const HELP = `
Clients speak Wisp (versions 1 and 2) at a path that ends in a slash, or wsproxy at /HOST:PORT. They reach every
address of the public internet, but no port 25. --allow opens more: "127.0.0.1:8000", "10.0.0.0/8",
"[fd00::/8]:80,443", "*". --deny comes before it. Programs may use it, and pages on loopback; --origin names other
pages instead. /healthz, /readyz and /metrics are served beside it.
--rooms: raw Ethernet at /l2/NAME (websockproxy's format). Who has the name is on one network, with a stack that
reaches what clients reach; a netdev string says more about it: --rooms=user,net=10.1.0.0/24.
--forward-ports opens ports here, on loopback, for clients that ask: forwards to their guests. --forward-token keeps
others from it.
--config names a JSON file with the keys host, port, allow, deny, names, origins, tokens, users, keys, forwards, motd,
websockify, rooms, dnsOverHttps, limits and tls. Rules, names, secrets and ports of the command line are added to it;
everything else there takes the place of what it says.

Examples:
  ${PROGRAM_NAME} relay --allow 127.0.0.1:8000 --rooms --doh
  ${PROGRAM_NAME} relay --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --origin https://example.org --token s3cret
  ${PROGRAM_NAME} relay --websockify /db=127.0.0.1:5432 --key client.pub.pem`;

/** For options that may stand alone. */
const collectOrTrue = (value: string, list: readonly string[] | boolean = []): string[] =>
  collect(value, typeof list === "boolean" ? [] : list);

/** Those that may be given again are read by `collect`. */
const OPTIONS: readonly (readonly [flags: string, text: string, isRepeatable?: true])[] = [
  ["--listen <address>", "HOST:PORT, an IPv6 address in brackets (default: 127.0.0.1:6001)"],
  ["--allow <rule>", "let clients reach this too", true],
  ["--deny <rule>", "never let clients reach this", true],
  ["--name <name>", 'only such names may be asked for: "example.org", "*.example.org"', true],
  ["--origin <origin>", 'a page that may use it, "https://example.org", or "*"', true],
  ["--token <secret>", "what the URL's path must begin with", true],
  ["--user <name:password>", "who may use it, by Wisp's passwords", true],
  ["--key <key>", "a public Ed25519 key that may use it: base64, or a PEM file", true],
  ["--forward-ports <ports>", "ports that clients may have opened, 8080 or 8000-8999", true],
  ["--forward-token <secret>", "what a client must know for that", true],
  ["--forward-address <address>", "where such ports are opened (default: loopback)", true],
  ["--motd <text>", "what it says of itself to Wisp clients"],
  ["--websockify <path=target>", 'a path that leads to one target, "/db=127.0.0.1:5432"', true],
  ["--rooms [netdev]", "Ethernet rooms at /l2/NAME, each with a stack of its own"],
  ["--tls-cert <file>", "certificate chain, PEM"],
  ["--tls-key <file>", "its key, PEM"],
  ["--config <file>", "all of that and limits, as JSON"],
  ["--drain <seconds>", "how long clients may take to end when it ends (default: 10)"],
];

/** Adds the command. Its action answers by `finish` with the exit status. */
export function addRelayCommand(program: Command, finish: (status: number) => void): void {
  const relay = program.command("relay").description("relay the connections of emulators in pages");
  for (const [flags, text, isRepeatable] of OPTIONS) {
    if (isRepeatable) relay.option(flags, `${text}; may be given again`, collect);
    else relay.option(flags, text);
  }
  relay
    .option(
      "--doh [resolver]",
      "answer DNS over HTTPS at /dns-query, by the system's resolvers or this one; may be given again",
      collectOrTrue,
    )
    .addHelpText("after", HELP)
    .action(async (flags: RelayFlags & LogOptions, command: Command) => {
      const { serveRelay } = await import("./relay.js");
      finish(await serveRelay(command.optsWithGlobals<typeof flags>()));
    });
}
