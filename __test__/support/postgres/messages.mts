/** The messages of the Postgres protocol, as somebody between a client and its server sees them. */

/** How much of a message is looked at: enough for its SQL, not for its values. */
const HEAD_LENGTH = 4_096;

const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
/** PostgreSQL takes no longer start-up message. */
const MAX_START_LENGTH = 10_000;

/** Whether what comes before the start-up message asks for encryption; one byte answers that. */
export function asksForEncryption(code: number): boolean {
  return code === SSL_REQUEST || code === GSS_REQUEST;
}

export interface Message {
  /** Empty for what comes before the start-up message, and for that. */
  type: string;
  /** The beginning of what is in it. */
  head: Buffer;
  /** Where it ends in the bytes that were read. */
  end: number;
}

/** Finds the messages in the bytes of one direction. */
export class Messages {
  typed: boolean;
  /** Encrypted from here on. */
  opaque = false;
  /** How many answers of one byte come next. */
  single = 0;

  #header = Buffer.alloc(0);
  #head = Buffer.alloc(0);
  #missing = 0;

  constructor(typed: boolean) {
    this.typed = typed;
  }

  /** The messages that end in these bytes. */
  read(bytes: Buffer): Message[] {
    const found: Message[] = [];
    let at = 0;
    const take = (length: number) => bytes.subarray(at, (at += Math.min(length, bytes.length - at)));
    while (at < bytes.length && !this.opaque) {
      if (this.single > 0) {
        this.single -= 1;
        this.opaque = take(1).toString() === "S";
        continue;
      }
      const headerLength = this.typed ? 5 : 4;
      if (this.#header.length < headerLength) {
        this.#header = Buffer.concat([this.#header, take(headerLength - this.#header.length)]);
        if (this.#header.length < headerLength) break;
        const length = this.#header.readInt32BE(headerLength - 4);
        // A client that begins with TLS at once, or speaks something else.
        if (!this.typed && length > MAX_START_LENGTH) this.opaque = true;
        this.#missing = length - 4;
        this.#head = Buffer.alloc(0);
      }
      const part = take(this.#missing);
      this.#missing -= part.length;
      this.#head = Buffer.concat([this.#head, part.subarray(0, HEAD_LENGTH - this.#head.length)]);
      if (this.#missing > 0) break;
      const type = this.typed ? String.fromCharCode(this.#header[0]) : "";
      found.push({ type, head: this.#head, end: at });
      this.#header = Buffer.alloc(0);
    }
    return found;
  }
}
