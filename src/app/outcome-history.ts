import { OUTCOMES, type Outcome } from '../core/batch.ts';
import { outcomesAfter } from '../ledger/report.ts';
import type { CodeCount } from './summary.ts';
import type { Store } from './store.ts';

/** How a batch went, as far as it was read. */
export interface OutcomeHistory {
  /** Width of a span, milliseconds. */
  readonly spanMs: number;
  /** The spans in which something was settled, the oldest first; an item that was tried again stands where it ended last. */
  readonly spans: readonly OutcomeSpan[];
  /** Over all that was read, the most frequent first. */
  readonly codes: readonly CodeCount[];
  /** False while a long ledger is still being read: the next read continues. */
  readonly isWhole: boolean;
}

export interface OutcomeSpan {
  /** Its begin, Unix milliseconds. */
  readonly at: number;
  readonly counts: Readonly<Record<Outcome, number>>;
}

/** Where a reader has come to. */
interface Reading {
  after: string | undefined;
  spanMs: number;
  spans: Map<number, Record<Outcome, number>>;
  readonly codes: Map<string, { outcome: Outcome; code: string; items: number }>;
  /** Of what no longer counts when the reading began: when it has changed, the codes are no longer true. */
  readonly version: string;
}

const FIRST_SPAN_MS = 10_000;
const MOST_SPANS = 360;
/** Batches of which it is remembered how far they were read. */
const KEPT = 50;
/** Ledger entries in one read: some 100 ms. */
const ENTRIES_AT_ONCE = 10_000;

/** Reads ledgers that people watch: each entry once, and what is remembered does not grow with the batch. */
export class OutcomeHistories {
  readonly #store: Store;
  readonly #readings = new Map<string, Reading>();
  readonly #reads = new Map<string, Promise<OutcomeHistory>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Two who read at once see the same. @throws Redis' errors */
  read(batch: string): Promise<OutcomeHistory> {
    const underWay = this.#reads.get(batch);
    if (underWay !== undefined) return underWay;
    const read = this.#goOn(batch).finally(() => this.#reads.delete(batch));
    this.#reads.set(batch, read);
    return read;
  }

  async #goOn(batch: string): Promise<OutcomeHistory> {
    const version = await this.#version(batch);
    const known = this.#readings.get(batch);
    const reading = known?.version === version ? known : begin(version);
    // The one that was looked at last is forgotten last.
    this.#readings.delete(batch);
    this.#readings.set(batch, reading);
    const [oldest] = this.#readings.keys();
    if (this.#readings.size > KEPT && oldest !== undefined) this.#readings.delete(oldest);
    const { outcomes, last, isEnd } = await outcomesAfter(this.#store.ledger, batch, reading.after, ENTRIES_AT_ONCE);
    reading.after = last;
    for (const [atMs, { outcome, code }] of outcomes) count(reading, atMs, outcome, code);
    return {
      spanMs: reading.spanMs,
      spans: [...reading.spans].map(([at, counts]) => ({ at, counts })).toSorted((x, y) => x.at - y.at),
      codes: [...reading.codes.values()].toSorted((x, y) => y.items - x.items),
      isWhole: isEnd,
    };
  }

  async #version(batch: string): Promise<string> {
    const { redis, keys } = this.#store.ledger;
    const of = keys.of(batch);
    const [superseded, forgotten] = await Promise.all([redis.scard(of.superseded), redis.hget(of.record, 'forgotten')]);
    return `${superseded} ${forgotten ?? 0}`;
  }
}

function begin(version: string): Reading {
  return { after: undefined, spanMs: FIRST_SPAN_MS, spans: new Map(), codes: new Map(), version };
}

function count(reading: Reading, atMs: number, outcome: Outcome, code: string): void {
  add(reading, atMs, outcome, 1);
  while (reading.spans.size > MOST_SPANS) widen(reading);
  const name = `${outcome} ${code}`;
  const known = reading.codes.get(name) ?? { outcome, code, items: 0 };
  known.items += 1;
  reading.codes.set(name, known);
}

function add({ spans, spanMs }: Reading, atMs: number, outcome: Outcome, items: number): void {
  const at = Math.floor(atMs / spanMs) * spanMs;
  const counts = spans.get(at) ?? none();
  counts[outcome] += items;
  spans.set(at, counts);
}

function widen(reading: Reading): void {
  const narrow = reading.spans;
  reading.spanMs *= 2;
  reading.spans = new Map();
  for (const [at, counts] of narrow) for (const outcome of OUTCOMES) add(reading, at, outcome, counts[outcome]);
}

function none(): Record<Outcome, number> {
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
}
