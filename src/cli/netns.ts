/**
 * `slirp-wasm netns`, and `slirp4netns` where a link of that name leads to this program: a network for a network namespace, with the
 * command line, descriptors, API, messages and exit statuses of slirp4netns, so that what calls that can be given this.
 *
 * This file is the way in: the command line, and what is said about it. `netns/` has the rest.
 */
import { createRequire } from "node:module";
import { errorText, oneLine } from "./logging.js";
import { CommandLineError } from "./netns/getopt-long.js";
import { readNetnsOptions, type NetnsOptions } from "./netns/netns-options.js";
import { NetnsUsageError } from "./netns/netns-usage-error.js";
import { usageText, versionText } from "./netns/netns-texts.js";

/** Runs the command; answers the exit status. `program` is the name that it was called by. */
export async function runNetns(words: readonly string[], program: string): Promise<number> {
  let options: NetnsOptions;
  try {
    const request = readNetnsOptions(words);
    if (request === "help") return say(usageText(program));
    if (request === "version")
      return say(versionText(versionIn("package.json"), versionIn("vendor/libslirp/source.json")));
    options = request;
  } catch (error) {
    return refuse(error, program);
  }
  try {
    // Loaded when all is well with the command line: the stack is most of the program.
    const { serveNetns } = await import("./netns/serve-netns.js");
    return await serveNetns(options);
  } catch (error) {
    complain(oneLine(errorText(error)));
    return 1;
  }
}

/** What a file of the package says under "version". */
function versionIn(path: string): string {
  return (createRequire(import.meta.url)(`../../${path}`) as { version: string }).version;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

function refuse(error: unknown, program: string): number {
  if (error instanceof CommandLineError) {
    complain(`${program}: ${error.message}`);
  } else if (error instanceof NetnsUsageError) {
    if (error.message !== "") complain(error.message);
    if (!error.showsUsage) return 1;
  } else throw error;
  say(usageText(program));
  return 1;
}
