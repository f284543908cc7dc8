// What a person sees of set-up: one line a step that does something, and for whatever takes longer than
// two seconds a sign of life: a spinner on a terminal, a line every 15 seconds elsewhere (a CI log), both
// with the time it has taken and the last line that the program under way printed. Everything goes to
// standard error: the output of `npm start -- COMMAND` is the guest's.

const QUIET_MS = 2_000;
const SPIN_MS = 120;
const LINE_EVERY_MS = 15_000;
const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

function stripControls(text) {
  // eslint-disable-next-line no-control-regex -- colours and cursor movements of a child are what is removed
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/[\u0000-\u001f\u007f]/g, " ");
}

/** Progress and messages on one output stream. */
export class Display {
  #stream;
  #verbose;
  #step = undefined;
  #text = "";
  #beganMs = 0;
  #timer = undefined;
  #frame = 0;
  #isDrawn = false;

  /**
   * @param {object} [options]
   * @param {NodeJS.WriteStream} [options.stream] default: standard error
   * @param {boolean} [options.verbose] print every line of every program and every skipped step
   */
  constructor({ stream = process.stderr, verbose = false } = {}) {
    this.#stream = stream;
    this.#verbose = verbose;
  }

  get verbose() {
    return this.#verbose;
  }

  /** Prints a line of its own. */
  say(text) {
    this.#erase();
    this.#stream.write(`${text}\n`);
  }

  /** A step begins: its line, and from now on its progress. */
  begin(step, describe) {
    this.say(`set-up: ${step}: ${describe}`);
    this.#step = step;
    this.#text = "";
    this.#beganMs = performance.now();
    const isTerminal = this.#stream.isTTY === true;
    this.#timer = setInterval(
      isTerminal ? () => this.#spin() : () => this.#line(),
      isTerminal ? SPIN_MS : LINE_EVERY_MS,
    );
    // Whatever is under way keeps the process alive, not its progress.
    this.#timer.unref();
  }

  /** What the step is at just now. */
  progress(text) {
    this.#text = stripControls(text).trim();
    if (this.#verbose && this.#text !== "") this.say(`    ${this.#text}`);
  }

  /** The step has ended; a long one says how long it took. */
  end(outcome = "done") {
    clearInterval(this.#timer);
    const elapsedMs = performance.now() - this.#beganMs;
    if (elapsedMs > QUIET_MS || outcome !== "done") {
      this.say(`set-up: ${this.#step}: ${outcome} after ${(elapsedMs / 1000).toFixed(1)} s`);
    }
    this.#erase();
    this.#step = undefined;
  }

  #elapsed() {
    return `${Math.round((performance.now() - this.#beganMs) / 1000)} s`;
  }

  #spin() {
    if (this.#verbose || performance.now() - this.#beganMs < QUIET_MS) return;
    this.#frame = (this.#frame + 1) % SPINNER.length;
    const text = `${SPINNER[this.#frame]} ${this.#step}: ${this.#elapsed()}  ${this.#text}`;
    this.#stream.write(`\r\u001b[2K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`);
    this.#isDrawn = true;
  }

  #line() {
    const last = this.#text === "" ? "" : `: ${this.#text}`;
    this.#stream.write(`set-up: ${this.#step}: ${this.#elapsed()}${last}\n`);
  }

  #erase() {
    if (!this.#isDrawn) return;
    this.#stream.write("\r\u001b[2K");
    this.#isDrawn = false;
  }
}
