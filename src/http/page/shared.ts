import type { Asked } from '../api.ts';

/** Sights that are kept: one for each set of accounts and each place in the list. */
const MOST = 100;

/** Something that is looked up for all who ask within a while: ten open pages then ask Redis hardly more than one does. */
export class Shared<T> {
  readonly #goodMs: number;
  readonly #known = new Map<string, { readonly value: Promise<T>; readonly untilMs: number }>();

  constructor(goodMs: number) {
    this.#goodMs = goodMs;
  }

  /**
   * A person who reloads the page, or has just done something, wants to see what is, and gets it looked up.
   * @param key - names what is looked up
   */
  get(asked: Asked, key: readonly unknown[], read: () => Promise<T>): Promise<T> {
    const name = JSON.stringify(key);
    const nowMs = performance.now();
    const isFresh = /no-cache|max-age=0/.test(asked.req.header('cache-control') ?? '');
    const known = this.#known.get(name);
    if (!isFresh && known !== undefined && nowMs < known.untilMs) return known.value;
    const value = read();
    // What was put in last stands last, and what failed is not kept.
    this.#known.delete(name);
    this.#known.set(name, { value, untilMs: nowMs + this.#goodMs });
    value.catch(() => this.#forget(name, value));
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST && oldest !== undefined) this.#known.delete(oldest);
    return value;
  }

  #forget(name: string, value: Promise<T>): void {
    if (this.#known.get(name)?.value === value) this.#known.delete(name);
  }
}
