import { tmpdir } from 'node:os';
import { ScratchFile } from '../manifest/scratch-file.ts';

/** What is kept in memory before it is written, and what is read at once, bytes. */
const BLOCK_BYTES = 1 << 20;
const LINE_END = 0x0a;

/** Lines that are kept aside in a file without a name, since a manifest from standard input can be read only once. */
export class Spool {
  readonly #file = new ScratchFile(tmpdir());
  #open: string[] = [];
  #openLength = 0;
  #bytes = 0;

  /**
   * @param text - whole lines, each with its line end
   * @throws ScratchUnavailable
   */
  write(text: string): void {
    this.#open.push(text);
    this.#openLength += text.length;
    if (this.#openLength >= BLOCK_BYTES) this.#flush();
  }

  /**
   * The lines so far, without their ends. May be read again.
   * @throws ScratchUnavailable
   */
  *lines(): Generator<string, void, undefined> {
    this.#flush();
    let rest = Buffer.alloc(0);
    for (let at = 0; at < this.#bytes;) {
      const block = Buffer.alloc(Math.min(BLOCK_BYTES, this.#bytes - at));
      this.#file.read(block, at);
      at += block.length;
      const whole = Buffer.concat([rest, block]);
      const end = whole.lastIndexOf(LINE_END) + 1;
      rest = whole.subarray(end);
      for (const line of whole.toString('utf8', 0, end).split('\n')) if (line !== '') yield line;
    }
  }

  /** Must be called, also after an error. */
  close(): void {
    this.#file.close();
  }

  #flush(): void {
    if (this.#open.length === 0) return;
    const bytes = Buffer.from(this.#open.join(''));
    this.#open = [];
    this.#openLength = 0;
    this.#file.append(bytes);
    this.#bytes += bytes.length;
  }
}
