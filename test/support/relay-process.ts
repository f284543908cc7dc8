/** Our relay as people run it, in a process of its own that can be killed, and started again at the same port. */
import { CliProcess } from "./cli.js";
import { waitUntil } from "./wait-until.js";

/** See the top of the file. Disposing of it kills it. */
export class RelayProcess {
  readonly url: string;
  readonly #allow: readonly string[];
  #process: CliProcess;

  /** @param allow targets beside the public internet, as `--allow` takes them */
  static async start(allow: readonly string[]): Promise<RelayProcess> {
    const relay = await run("127.0.0.1:0", allow);
    return new RelayProcess(relay, allow);
  }

  private constructor(relay: CliProcess, allow: readonly string[]) {
    this.#process = relay;
    this.#allow = allow;
    this.url = relay.output.trim();
  }

  /** Without a word to anybody. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.ended();
  }

  /** Once it has been killed. */
  async restart(): Promise<void> {
    this.#process = await run(new URL(this.url).host, this.#allow);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function run(listen: string, allow: readonly string[]): Promise<CliProcess> {
  const rules = allow.flatMap((rule) => ["--allow", rule]);
  const relay = new CliProcess(["relay", "--listen", listen, ...rules]);
  let isOver = false;
  void relay.ended().then(() => (isOver = true));
  await waitUntil("the relay prints its URL", () => isOver || relay.output.endsWith("\n"));
  if (isOver) throw new Error(`the relay did not start: ${relay.errorOutput}`);
  return relay;
}
