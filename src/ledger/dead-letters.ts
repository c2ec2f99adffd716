import { auditNote, type Motive } from '../audit/note.ts';
import type { Certificate } from '../core/certificate.ts';
import { blameOf, mayHaveDone } from '../core/code-table.ts';
import { script } from '../runtime/redis/script.ts';
import { FEED_RANK } from './batch-record.ts';
import { isDirectBatch } from './direct-items.ts';
import type { LedgerStore } from './keys.ts';
import { DISCARD, REOPEN } from './letter-scripts.lua.ts';

/** One life of an item that ended dead. */
export interface Death {
  readonly code: string;
  readonly message: string;
  readonly requestId: string;
  /** HTTP calls made. */
  readonly calls: number;
  /** Unix milliseconds. */
  readonly at: number;
}

/** An item that ended `dead`, with what it went through, and of a direct one who wanted it. `history` holds earlier deaths, the oldest first. */
export interface DeadLetter extends Certificate, Death, Motive {
  /** One of its calls may have worked although no answer said so. */
  readonly effectUnknown: boolean;
  readonly history: readonly Death[];
}

export interface DeadLetterOf extends DeadLetter {
  readonly batch: string;
  readonly n: number;
}

export interface DeadFilter {
  readonly batch?: string;
  readonly code?: string;
  readonly instanceId?: string;
  /** Unix milliseconds: died then or later. */
  readonly fromMs?: number;
  /** Unix milliseconds: died before. */
  readonly beforeMs?: number;
}

/** A code of ours, in lower case: no answer of the API stands behind it. */
const OWN_CODE = /^[a-z]/;

const reopenScript = script<number[]>(REOPEN);
const discardScript = script<number[]>(DISCARD);

/** Letters read or changed in one step; a step of this size keeps Redis busy for a few milliseconds. */
const PAGE = 500;

/**
 * `gone`: somebody else has retried or discarded it. `cancelled`: its batch is, and stays so.
 * `malformed`: its job named no certificate that could be tried.
 */
export type Reopened = 'reopened' | 'gone' | 'cancelled' | 'malformed';

const REPLIES: Readonly<Record<number, Reopened>> = { 1: 'reopened', 0: 'gone', [-1]: 'cancelled', [-2]: 'malformed' };

/** Where all batches are listed. */
interface BatchList {
  all(): Promise<readonly { readonly id: string }[]>;
}

/** The items that ended dead, and what an operator does with them. */
export class DeadLetters {
  readonly #store: LedgerStore;
  readonly #batches: BatchList;

  constructor(store: LedgerStore, batches: BatchList) {
    this.#store = store;
    this.#batches = batches;
  }

  /** Every dead letter that fits, the batches newest first. May show a letter twice while letters come and go. */
  async *list(filter: DeadFilter = {}): AsyncGenerator<DeadLetterOf> {
    const { redis, keys } = this.#store;
    const batches = filter.batch === undefined ? (await this.#batches.all()).map(({ id }) => id) : [filter.batch];
    for (const batch of batches) {
      const pages = redis.hscanStream(keys.of(batch).dead, { count: PAGE }) as AsyncIterable<string[]>;
      for await (const page of pages) {
        for (let index = 0; index + 1 < page.length; index += 2) {
          const letter = parseLetter(page[index + 1] ?? '');
          if (filter.code !== undefined && letter.code !== filter.code) continue;
          if (filter.instanceId !== undefined && letter.instanceId !== filter.instanceId) continue;
          if (filter.fromMs !== undefined && letter.at < filter.fromMs) continue;
          if (filter.beforeMs !== undefined && letter.at >= filter.beforeMs) continue;
          yield { ...letter, batch, n: Number(page[index]) };
        }
      }
    }
  }

  /** How many there are, over all batches. */
  async count(): Promise<number> {
    const { redis, keys } = this.#store;
    const ids = await redis.zrange(keys.batches, '0', '-1');
    const counts = await Promise.all(ids.map((id) => redis.hlen(keys.of(id).dead)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Some of the dead letters of a batch, in no order. A letter that is there all the while is on one page at least.
   * @param cursor - what the page before returned as `next`; `0` begins
   * @returns about as many as asked for, and where to continue; undefined at the end
   */
  async page(batch: string, cursor: string, about: number): Promise<{ letters: DeadLetterOf[]; next?: string }> {
    const { redis, keys } = this.#store;
    const [next, found] = await redis.hscan(keys.of(batch).dead, cursor, 'COUNT', about);
    const letters: DeadLetterOf[] = [];
    for (let at = 0; at + 1 < found.length; at += 2) {
      letters.push({ ...parseLetter(found[at + 1] ?? ''), batch, n: Number(found[at]) });
    }
    return { letters, ...(next !== '0' && { next }) };
  }

  /**
   * Makes dead items of a batch pending again, some hundred in one step: each waits, with its history, and continues at once. A step is one entry of the
   * audit record.
   * @returns the outcome of each
   */
  async reopen(batch: string, ordinals: readonly number[], motive: Motive = {}): Promise<readonly Reopened[]> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const { stream, head } = keys.audit;
    const about = [of.dead, of.superseded, of.attempts, of.history, stream, head, of.chunks];
    const direct = isDirectBatch(batch) ? 'direct' : '';
    const replies: Reopened[] = [];
    for (const page of pagesOf(ordinals)) {
      const values = await redis.hmget(of.dead, ...page.map(String));
      const letters = values.map((value) => (value === null ? undefined : parseLetter(value)));
      const instances = [...new Set(letters.map((letter) => letter?.instanceId ?? ''))];
      const rows = page.map((n, at) => {
        const { instanceId = '', code = '' } = letters[at] ?? {};
        // Layout 1 took a service that failed to have done nothing, and its letters say so.
        const isFormer = values[at]?.includes('"attempts":') === true && !values[at].includes('"calls":');
        const isDoubtful = isFormer && mayHaveDone(blameOf(code)) && !OWN_CODE.test(code);
        return [n, instances.indexOf(instanceId) + 1, isDoubtful ? 1 : 0];
      });
      const waiting = instances.map((instanceId) => keys.waiting(instanceId));
      const all = [of.record, keys.active, of.settled, of.ledger, ...about, ...waiting];
      const note = auditNote({ event: 'dead-retry', batch, ...motive });
      const told = await reopenScript(redis, all, [batch, FEED_RANK.bulk, note, JSON.stringify(rows), direct]);
      replies.push(...told.map((reply) => REPLIES[reply] ?? 'gone'));
    }
    return replies;
  }

  /** Puts letters of a batch aside; their items stay counted as dead. @returns of each, false when it was gone already */
  async discard(batch: string, ordinals: readonly number[], motive: Motive = {}): Promise<readonly boolean[]> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const { stream, head } = keys.audit;
    const replies: boolean[] = [];
    for (const page of pagesOf(ordinals)) {
      const note = auditNote({ event: 'dead-discard', batch, ...motive });
      const told = await discardScript(redis, [of.ledger, of.dead, of.record, stream, head], [note, ...page]);
      replies.push(...told.map((reply) => reply === 1));
    }
    return replies;
  }
}

function pagesOf(ordinals: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(ordinals.length / PAGE) }, (_, at) =>
    ordinals.slice(at * PAGE, (at + 1) * PAGE),
  );
}

function parseLetter(value: string): DeadLetter {
  // The ledger entry stands before it.
  return withCalls(JSON.parse(value.slice(value.indexOf(' ') + 1)) as StoredLetter);
}

/** As versions before layout 3 wrote it, with `attempts` for `calls`. */
type StoredDeath = Omit<Death, 'calls'> & { readonly calls?: number; readonly attempts?: number };
type StoredLetter = Omit<DeadLetter, 'calls' | 'history'> & StoredDeath & { readonly history: readonly StoredDeath[] };

function withCalls({ calls, attempts, history, ...letter }: StoredLetter): DeadLetter {
  const deaths = history.map(({ calls: of, attempts: former, ...death }) => ({ ...death, calls: of ?? former ?? 0 }));
  return { ...letter, calls: calls ?? attempts ?? 0, history: deaths };
}
