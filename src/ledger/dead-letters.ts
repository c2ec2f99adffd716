import type { Redis } from 'ioredis';
import type { Certificate } from '../core/certificate.ts';
import { script } from '../runtime/redis/script.ts';
import { FEED_RANK, type Ledger } from './ledger.ts';
import { DISCARD, REOPEN, REOPENED, REOPENED_FED } from './letter-scripts.lua.ts';

/** One life of an item that ended dead. */
export interface Death {
  readonly code: string;
  readonly message: string;
  readonly requestId: string;
  /** HTTP calls made. */
  readonly attempts: number;
  /** Unix milliseconds. */
  readonly at: number;
}

/** An item that ended `dead`, with what it went through. `history` holds earlier deaths, the oldest first. */
export interface DeadLetter extends Certificate, Death {
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
}

const reopenScript = script<number>(REOPEN);
const discardScript = script<number>(DISCARD);
const reopenedScript = script<string[]>(REOPENED);
const fedScript = script<null>(REOPENED_FED);

/** Letters read from Redis at once. */
const PAGE = 500;

/** Every dead letter that fits, the batches newest first. May show a letter twice while letters come and go. */
export async function* deadLetters(
  redis: Redis,
  ledger: Ledger,
  filter: DeadFilter = {},
): AsyncGenerator<DeadLetterOf> {
  const batches = filter.batch === undefined ? (await ledger.batches()).map(({ id }) => id) : [filter.batch];
  for (const batch of batches) {
    const pages = redis.hscanStream(ledger.keys.of(batch).dead, { count: PAGE }) as AsyncIterable<string[]>;
    for await (const page of pages) {
      for (let index = 0; index + 1 < page.length; index += 2) {
        const letter = parseLetter(page[index + 1] ?? '');
        if (filter.code !== undefined && letter.code !== filter.code) continue;
        if (filter.instanceId !== undefined && letter.instanceId !== filter.instanceId) continue;
        yield { ...letter, batch, n: Number(page[index]) };
      }
    }
  }
}

/**
 * `gone`: somebody else has retried or discarded it. `cancelled`: its batch is, and stays so.
 * `malformed`: its job named no certificate that could be tried.
 */
export type Reopened = 'reopened' | 'gone' | 'cancelled' | 'malformed';

const REPLIES: Readonly<Record<number, Reopened>> = { 1: 'reopened', 0: 'gone', [-1]: 'cancelled', [-2]: 'malformed' };

/** Makes a dead item pending again; the feeder gives it a job, with its history. */
export async function reopenDeadLetter(redis: Redis, ledger: Ledger, batch: string, n: number): Promise<Reopened> {
  const of = ledger.keys.of(batch);
  const letters = [of.dead, of.reopened, of.superseded, of.departed, of.retries, of.notes, of.history];
  const keys = [of.record, ledger.keys.active, of.settled, of.ledger, ...letters];
  return REPLIES[await reopenScript(redis, keys, [batch, n, FEED_RANK.bulk])] ?? 'gone';
}

/** Puts a letter aside; the item stays counted as dead. @returns false when it is gone already */
export async function discardDeadLetter(redis: Redis, ledger: Ledger, batch: string, n: number): Promise<boolean> {
  const of = ledger.keys.of(batch);
  return (await discardScript(redis, [of.ledger, of.dead], [n])) === 1;
}

/** Reopened items of a batch that no job stands for yet, at most some hundred, each with how often it was retried. */
export async function reopenedItems(
  redis: Redis,
  ledger: Ledger,
  batch: string,
): Promise<{ n: number; letter: DeadLetter; retries: number }[]> {
  const of = ledger.keys.of(batch);
  const page = await reopenedScript(redis, [of.reopened, of.retries], [PAGE]);
  const items: { n: number; letter: DeadLetter; retries: number }[] = [];
  for (let index = 0; index + 2 < page.length; index += 3) {
    const letter = JSON.parse(page[index + 1] ?? '') as DeadLetter;
    items.push({ n: Number(page[index]), letter, retries: Number(page[index + 2]) });
  }
  return items;
}

/** All of them, however many: those that lie in wait rather than being lost. */
export async function reopenedOrdinals(redis: Redis, ledger: Ledger, batch: string): Promise<ReadonlySet<number>> {
  return new Set((await redis.hkeys(ledger.keys.of(batch).reopened)).map(Number));
}

/** How often each of the items was retried. */
export async function retriesOf(
  redis: Redis,
  ledger: Ledger,
  batch: string,
  ordinals: readonly number[],
): Promise<number[]> {
  if (ordinals.length === 0) return [];
  const known = await redis.hmget(ledger.keys.of(batch).retries, ...ordinals.map(String));
  return known.map((retries) => Number(retries ?? 0));
}

/** Jobs stand for the items now. What was retried again since, by another feeder's job, still waits for the next one. */
export async function reopenedItemsFed(
  redis: Redis,
  ledger: Ledger,
  batch: string,
  items: readonly { readonly n: number; readonly retries: number }[],
): Promise<void> {
  const of = ledger.keys.of(batch);
  const lives = items.flatMap(({ n, retries }) => [n, retries]);
  if (items.length > 0) await fedScript(redis, [of.reopened, of.retries], lives);
}

function parseLetter(value: string): DeadLetter {
  // The ledger entry stands before it.
  return JSON.parse(value.slice(value.indexOf(' ') + 1)) as DeadLetter;
}
