/**
 * Command lines as getopt_long(3) reads them, since that is what callers of slirp4netns write for: short options in one word (`-cm1400`),
 * long ones with `=` or the next word, abbreviated as long as only one is meant, options and other words in any order, `--` before words
 * that are no options. The messages are those that people know.
 */

/** An option. */
export interface LongOption {
  readonly name: string;
  /** One letter, where it has one. */
  readonly short?: string;
  readonly hasValue: boolean;
}

/** What {@link readCommandLine} found, in the order of the command line; an option may be there several times. */
export interface CommandLine {
  readonly options: readonly { readonly name: string; readonly value: string }[];
  readonly words: readonly string[];
}

/** The command line cannot be read. The message is complete but for the program's name. */
export class CommandLineError extends Error {
  override readonly name = "CommandLineError";
}

/** See the top of the file. @throws CommandLineError */
export function readCommandLine(
  words: readonly string[],
  known: readonly LongOption[],
): CommandLine {
  return new Reader(words, known).read();
}

class Reader {
  readonly #rest: string[];
  readonly #known: readonly LongOption[];
  readonly #options: { name: string; value: string }[] = [];

  constructor(words: readonly string[], known: readonly LongOption[]) {
    this.#rest = [...words];
    this.#known = known;
  }

  read(): CommandLine {
    const words: string[] = [];
    for (let word = this.#rest.shift(); word !== undefined; word = this.#rest.shift()) {
      if (word === "--") return { options: this.#options, words: [...words, ...this.#rest] };
      if (word.startsWith("--")) this.#readLong(word.slice(2));
      else if (word.startsWith("-") && word !== "-") this.#readShort(word.slice(1));
      else words.push(word);
    }
    return { options: this.#options, words };
  }

  #readLong(text: string): void {
    const equals = text.indexOf("=");
    const written = equals < 0 ? text : text.slice(0, equals);
    const { name, hasValue } = this.#findLong(written);
    if (!hasValue) {
      if (equals >= 0) throw new CommandLineError(`option '--${name}' doesn't allow an argument`);
      this.#options.push({ name, value: "" });
      return;
    }
    const value = equals < 0 ? this.#rest.shift() : text.slice(equals + 1);
    if (value === undefined) {
      throw new CommandLineError(`option '--${name}' requires an argument`);
    }
    this.#options.push({ name, value });
  }

  #findLong(written: string): LongOption {
    const exact = this.#known.find(({ name }) => name === written);
    if (exact) return exact;
    const [first, ...others] = this.#known.filter(({ name }) => name.startsWith(written));
    if (!first) throw new CommandLineError(`unrecognized option '--${written}'`);
    if (others.length > 0) {
      const names = [first, ...others].map(({ name }) => `'--${name}'`).join(" ");
      throw new CommandLineError(`option '--${written}' is ambiguous; possibilities: ${names}`);
    }
    return first;
  }

  #readShort(letters: string): void {
    for (let i = 0; i < letters.length; i++) {
      const letter = letters.charAt(i);
      const option = this.#known.find(({ short }) => short === letter);
      if (!option) throw new CommandLineError(`invalid option -- '${letter}'`);
      const { name } = option;
      if (!option.hasValue) {
        this.#options.push({ name, value: "" });
        continue;
      }
      const value = i + 1 < letters.length ? letters.slice(i + 1) : this.#rest.shift();
      if (value === undefined) {
        throw new CommandLineError(`option requires an argument -- '${letter}'`);
      }
      this.#options.push({ name, value });
      return;
    }
  }
}
