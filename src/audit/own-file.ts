import { appendFile } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import { lineOf, storedEntries } from './chain.ts';
import type { AuditKeys } from './entry.ts';
import { PROCESS_TAG } from './note.ts';

/** The file of what this process changes cannot be appended to, so it must not change anything. */
export class AuditFileUnavailable extends Error {
  override readonly name = 'AuditFileUnavailable';

  constructor(path: string, cause: unknown) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    super(
      `The audit file ${path} (audit.file) cannot be appended to (${why}): make its folder, give this user the right to write there, or name another file.`,
      { cause },
    );
  }
}

/** Appends to a file what this process has changed, as the record in Redis has it. */
export class AuditFile {
  readonly #path: string;
  readonly #redis: Redis;
  readonly #keys: AuditKeys;
  #opening: Promise<void> | undefined;
  #behind = '-';
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, redis: Redis, keys: AuditKeys) {
    this.#path = path;
    this.#redis = redis;
    this.#keys = keys;
  }

  /**
   * To be called before the process changes anything; a second time it does nothing.
   * @throws AuditFileUnavailable, or the client's error
   */
  async open(): Promise<void> {
    this.#opening ??= this.#open();
    try {
      await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /**
   * Writes what this process has changed since the last time.
   * @throws AuditFileUnavailable, or the client's error
   */
  async write(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    return this.#writing;
  }

  async #open(): Promise<void> {
    const [last] = await this.#redis.xrevrange(this.#keys.stream, '+', '-', 'COUNT', 1);
    if (last !== undefined) this.#behind = `(${last[0]}`;
    await this.#append('');
  }

  async #write(): Promise<void> {
    await this.#opening;
    if (this.#opening === undefined) return;
    for await (const stored of storedEntries(this.#redis, this.#keys, this.#behind)) {
      if (stored.op.startsWith(`${PROCESS_TAG}.`)) await this.#append(`${lineOf(stored)}\n`);
      this.#behind = `(${stored.id}`;
    }
  }

  /** Opens it each time: log rotation renames it, and a worker would write to the old one for months. */
  async #append(text: string): Promise<void> {
    await appendFile(this.#path, text, { mode: 0o600 }).catch((error: unknown) => {
      throw new AuditFileUnavailable(this.#path, error);
    });
  }
}
