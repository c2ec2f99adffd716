import type { Redis } from 'ioredis';
import { outcomesOf, settledAtOf, type OutcomeEntry } from './entries.ts';
import type { BatchKeys, LedgerStore } from './keys.ts';
import { ReportNotWhole, supersededOf, type StreamEntry } from './report.ts';

/** How an item ended, as its report has it. */
export interface ItemOutcome extends OutcomeEntry {
  /** ISO 8601, UTC, from the clock of Redis. */
  readonly settledAt: string;
}

/** Entries read at once, of which each holds one item or some hundred: so many that a page has about the characters aimed at. */
const LEAST_PAGE = 100;
const MOST_PAGE = 2_000;
const AIMED_CHARACTERS = 500_000;

/** An item that is retried and settles again while it is looked for is looked for again. */
const READS = 3;

/**
 * How some items of a batch ended; those that are not in the answer are pending. The ledger has no index by item, so this reads it from its end
 * until all of them are found, but for dead letters, which know their entry.
 * @throws ReportNotWhole where an item is settled and the ledger does not say how
 */
export async function outcomesOfItems(
  { redis, keys }: LedgerStore,
  batch: string,
  ordinals: readonly number[],
): Promise<ReadonlyMap<number, ItemOutcome>> {
  const of = keys.of(batch);
  const found = new Map<number, ItemOutcome>();
  for (let read = 0; read < READS; read += 1) {
    const open = ordinals.filter((n) => !found.has(n));
    const bits = await Promise.all(open.map((n) => redis.getbit(of.settled, n)));
    const wanted = new Set(open.filter((_, at) => bits[at] === 1));
    if (wanted.size === 0) return found;
    for await (const [id, fields] of entriesNaming({ redis, of }, wanted)) {
      for (const entry of outcomesOf(fields)) {
        if (!wanted.delete(entry.n)) continue;
        found.set(entry.n, { ...entry, settledAt: settledAtOf(id) });
      }
    }
  }
  const missing = ordinals.filter((n) => !found.has(n)).join(', ');
  throw new ReportNotWhole(`batch ${batch} does not say how its items ${missing} ended: its ledger is no longer whole`);
}

/** Entries that may name one of the items, until the caller has taken all of them out of `wanted`. */
async function* entriesNaming(
  { redis, of }: { readonly redis: Redis; readonly of: BatchKeys },
  wanted: ReadonlySet<number>,
): AsyncGenerator<StreamEntry> {
  for (const n of wanted) {
    const letter = await redis.hget(of.dead, String(n));
    const id = letter?.slice(0, letter.indexOf(' '));
    if (id !== undefined) yield* await redis.xrange(of.ledger, id, id);
  }
  let count = LEAST_PAGE;
  for (let to = '+'; wanted.size > 0;) {
    const page = await redis.xrevrange(of.ledger, to, '-', 'COUNT', count);
    const likely = page.filter(([, fields]) => mayName(fields, wanted));
    const superseded = await supersededOf(redis, of.superseded, likely);
    yield* likely.filter(([id]) => !superseded.has(id));
    const last = page.at(-1)?.[0];
    if (last === undefined || page.length < count) return;
    to = `(${last}`;
    count = nextCount(count, page);
  }
}

/** Whether an entry may name one of the items: most do not, and reading the JSON of each takes several times as long. */
function mayName([first = '', second = '']: readonly string[], wanted: ReadonlySet<number>): boolean {
  if (first === 'n') return wanted.has(Number(second));
  for (const n of wanted) if (second.includes(`[${n},`)) return true;
  return false;
}

function nextCount(count: number, page: readonly StreamEntry[]): number {
  const characters = page.reduce((sum, [, fields]) => sum + (fields[1]?.length ?? 0), 0);
  const aimed = Math.floor((count * AIMED_CHARACTERS) / Math.max(1, characters));
  return Math.min(MOST_PAGE, Math.max(LEAST_PAGE, Math.min(aimed, 2 * count)));
}
