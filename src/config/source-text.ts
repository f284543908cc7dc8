/**
 * Text that a person wrote, cut into pieces that remember where they stood.
 *
 * Every parser here works on a `SourceText`, so that whatever turns out wrong, however deep inside a rule inside an option
 * list, the error names the whole text as it was written and the column of the piece. One line, because errors go to
 * terminals and into logs.
 */
import { ErrorCode, SlirpError } from "../errors.js";

/** The text as it was written, and what to call it in an error ("host forward"). */
interface Origin {
  readonly what: string;
  readonly text: string;
}

/** A piece of a text. `value` is what the piece says, which is not what was written where an escape was undone. */
export class SourceText {
  readonly value: string;
  readonly #origin: Origin;
  /** Index in the origin's text of each UTF-16 unit of `value`, and of what follows the last. */
  readonly #positions: readonly number[];

  private constructor(origin: Origin, value: string, positions: readonly number[]) {
    this.value = value;
    this.#origin = origin;
    this.#positions = positions;
  }

  /** A whole text. `what` is its name in errors. Throws a SlirpError where it is not a string at all. */
  static of(what: string, text: string): SourceText {
    if (typeof text !== "string") {
      const found = `${what}: found a value of type ${typeof text}`;
      throw new SlirpError(ErrorCode.invalidConfiguration, `${found}; write it as text`);
    }
    return new SourceText(
      { what, text },
      text,
      Array.from({ length: text.length + 1 }, (_, index) => index),
    );
  }

  /** The piece from `start` to before `end`, as String.prototype.slice but for negative numbers. */
  slice(start: number, end = this.value.length): SourceText {
    const positions = this.#positions.slice(start, end + 1);
    return new SourceText(this.#origin, this.value.slice(start, end), positions);
  }

  /** The pieces between separators of one character; one piece where there is none. */
  split(separator: string): SourceText[] {
    const pieces: SourceText[] = [];
    let start = 0;
    for (const text of this.value.split(separator)) {
      pieces.push(this.slice(start, start + text.length));
      start += text.length + 1;
    }
    return pieces;
  }

  /** The same piece with each doubled character made single. */
  undouble(character: string): SourceText {
    let value = "";
    const positions: number[] = [];
    for (let index = 0; index < this.value.length; index++) {
      value += this.value.charAt(index);
      positions.push(this.#positions[index] ?? 0);
      if (this.value.startsWith(character + character, index)) index++;
    }
    positions.push(this.#positions.at(-1) ?? 0);
    return new SourceText(this.#origin, value, positions);
  }

  /** What the piece says, in quotes, for use in an error. */
  get quoted(): string {
    return JSON.stringify(this.value);
  }

  /**
   * An error that points at the beginning of this piece. The caller throws it.
   * @param problem - what is wrong, with what was found
   * @param remedy - what would be right, an imperative
   */
  error(
    problem: string,
    remedy: string,
    code: ErrorCode = ErrorCode.invalidConfiguration,
  ): SlirpError {
    const { what, text } = this.#origin;
    // Columns count characters, as editors do, not UTF-16 units.
    const column = Array.from(text.slice(0, this.#positions[0])).length + 1;
    const place = `${what} ${JSON.stringify(text)}, column ${String(column)}`;
    return new SlirpError(code, `${place}: ${problem}; ${remedy}`);
  }
}
