/** Reads a byte stream by lines and by counts: what HTTP/1.1 is made of. */

/** See the top of the file. */
export class ByteReader {
  private rest = new Uint8Array(0);
  private ended = false;

  constructor(private readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>) {}

  /**
   * The next line as Latin-1, without its end (CRLF, or LF alone: RFC 9112 2.2); undefined where the stream ends before any byte of it.
   * @throws what `tooLong` or `cutOff` answer, for a line of more than `limit` bytes or without an end.
   */
  async readLine(
    limit: number,
    tooLong: () => Error,
    cutOff: (line: string) => Error,
  ): Promise<string | undefined> {
    let line = "";
    for (;;) {
      const end = this.rest.indexOf(10);
      const piece = end < 0 ? this.rest : this.rest.subarray(0, end);
      if (line.length + piece.length > limit) throw tooLong();
      line += latin1(piece);
      this.rest = this.rest.subarray(piece.length + (end < 0 ? 0 : 1));
      if (end >= 0) return line.endsWith("\r") ? line.slice(0, -1) : line;
      if (!(await this.fill())) {
        if (line === "") return undefined;
        throw cutOff(line);
      }
    }
  }

  /** The next bytes, at most `limit`; undefined at the end. */
  async readSome(limit: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (this.rest.length === 0) {
      if (!(await this.fill())) return undefined;
    }
    const piece = this.rest.subarray(0, limit);
    this.rest = this.rest.subarray(piece.length);
    return piece;
  }

  private async fill(): Promise<boolean> {
    if (this.ended) return false;
    const { done, value } = await this.reader.read();
    this.ended = done;
    if (value) this.rest = value;
    return !done;
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
