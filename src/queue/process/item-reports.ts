import type { Outcome } from '../../core/batch.ts';
import { wellFormed } from '../../core/printable.ts';
import type { ItemEnd, ItemReport, Items, Reported } from '../../ledger/items.ts';
import type { Disposition, Item } from './item.ts';

/** An item has its outcome. `how` as the ledger answered: `unknown` where Redis has lost the batch. */
export interface SettledEvent {
  readonly kind: 'settled';
  readonly item: Item;
  readonly outcome: Outcome;
  readonly code: string;
  readonly requestId: string;
  /** HTTP calls made. */
  readonly calls: number;
  readonly byAbsence: boolean;
  readonly how: 'settled' | 'unknown';
}

/** It was marked inactive, and continues when its batch deletes. */
export interface MarkedEvent {
  readonly kind: 'marked';
  readonly item: Item;
  readonly code: string;
  readonly requestId: string;
  readonly calls: number;
}

export type ReportEvent =
  | SettledEvent
  | MarkedEvent
  | { readonly kind: 'drained'; readonly batch: string }
  | { readonly kind: 'trouble'; readonly during: string; readonly error: Error };

export interface ItemReportsParts {
  /** Over a connection on which nothing long is in the way. */
  readonly items: Pick<Items, 'report'>;
  readonly tell: (event: ReportEvent) => void;
}

/** How long reports wait for a pulse of the limiter that takes them along, milliseconds. */
const WITHIN_MS = 50;
/** Before they are written again where Redis refuses or is away. */
const AGAIN_MS = 500;
/** When what this process gives back is ready for others, milliseconds. */
const GIVEN_BACK_MS = 1_000;
/** Of one batch in one step. */
const MOST = 500;

interface Waiting {
  readonly item: Item;
  readonly disposition: Exclude<Disposition, { kind: 'abandon' }>;
  readonly resolve: (reported: Reported | 'closed') => void;
}

/**
 * Writes the outcomes of items: all since the last time in one step, together with the limiter's next pulse. What Redis does not take is written
 * again until it does, since the answer of a call is known here alone.
 */
export class ItemReports {
  readonly #parts: ItemReportsParts;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;
  #isClosed = false;

  constructor(parts: ItemReportsParts) {
    this.#parts = parts;
  }

  /** Resolves when it is written, or with `closed` where it never will be by this process: then the next run of the item takes the call for lost. */
  async write(item: Item, disposition: Disposition): Promise<Reported | 'closed'> {
    if (disposition.kind === 'abandon') return 'overtaken';
    if (this.#isClosed) return 'closed';
    return new Promise((resolve) => {
      this.#waiting.push({ item, disposition, resolve });
      if (!this.#isWriting) this.#timer ??= setTimeout(() => this.flush(), WITHIN_MS);
    });
  }

  /** Writes what is there, now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isWriting || this.#waiting.length === 0) return;
    this.#isWriting = true;
    void this.#write(this.#waiting.splice(0)).finally(() => {
      this.#isWriting = false;
      if (this.#waiting.length > 0 && !this.#isClosed) this.#timer ??= setTimeout(() => this.flush(), WITHIN_MS);
    });
  }

  /** Nothing is written again from here on; what waits ends as `closed`. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const { resolve } of this.#waiting.splice(0)) resolve('closed');
  }

  async #write(waiting: readonly Waiting[]): Promise<void> {
    const byBatch = new Map<string, Waiting[]>();
    for (const one of waiting) {
      const { batch } = one.item;
      const list = byBatch.get(batch);
      if (list === undefined) byBatch.set(batch, [one]);
      else list.push(one);
    }
    const pages = [...byBatch].flatMap(([batch, list]) =>
      Array.from({ length: Math.ceil(list.length / MOST) }, (_, at) => ({
        batch,
        page: list.slice(at * MOST, (at + 1) * MOST),
      })),
    );
    await Promise.all(pages.map(({ batch, page }) => this.#writePage(batch, page)));
  }

  async #writePage(batch: string, page: readonly Waiting[]): Promise<void> {
    const { items, tell } = this.#parts;
    try {
      const { replies, isDrained } = await items.report(batch, page.map(rowOf));
      for (const [at, { item, disposition, resolve }] of page.entries()) {
        const reply = replies[at] ?? 'unknown';
        this.#tell(item, disposition, reply);
        resolve(reply);
      }
      if (isDrained) tell({ kind: 'drained', batch });
    } catch (error) {
      tell({ kind: 'trouble', during: 'settling', error: error instanceof Error ? error : new Error(String(error)) });
      if (this.#isClosed) return page.forEach(({ resolve }) => resolve('closed'));
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      if (this.#isClosed) return page.forEach(({ resolve }) => resolve('closed'));
      this.#waiting.unshift(...page);
    }
  }

  #tell(item: Item, disposition: Waiting['disposition'], reply: Reported): void {
    if (disposition.kind !== 'settled') return;
    const { code, requestId, attempt, byAbsence } = disposition;
    if (reply === 'marked') return this.#parts.tell({ kind: 'marked', item, code, requestId, calls: attempt.calls });
    const isLeft = reply === 'inactivated' || reply === 'already-inactive';
    if (reply !== 'settled' && reply !== 'unknown' && !isLeft) return;
    const outcome = isLeft ? reply : disposition.outcome;
    const how: SettledEvent['how'] = reply === 'unknown' ? 'unknown' : 'settled';
    // Told anyway where Redis has lost the batch: the log is then the only record of what was done.
    const event = { outcome, code, requestId, calls: attempt.calls, byAbsence, how };
    this.#parts.tell({ kind: 'settled', item, ...event });
  }
}

function rowOf({ item, disposition }: Waiting): ItemReport {
  const { n, certificate, run, key } = item;
  const { instanceId } = certificate;
  // Without a job that it could stay with, it waits for another process.
  const end =
    disposition.kind === 'release' && run.kind === 'claim'
      ? { ...disposition, kind: 'wait' as const, delayMs: GIVEN_BACK_MS }
      : endOf(item, disposition);
  return { n, instanceId, run, ...(key !== undefined && { key }), end };
}

function endOf({ certificate, requestedBy, reason }: Item, disposition: Waiting['disposition']): ItemEnd {
  if (disposition.kind !== 'settled') return disposition;
  const { kind: _, message, ...settled } = disposition;
  if (settled.outcome !== 'dead') return { kind: 'settle', ...settled };
  const { code, requestId, attempt } = settled;
  const letter = {
    ...certificate,
    requestedBy,
    reason,
    code,
    message,
    requestId,
    calls: attempt.calls,
    at: Date.now(),
  };
  const text = JSON.stringify(letter, (_name, value: unknown) =>
    typeof value === 'string' ? wellFormed(value) : value,
  );
  return { kind: 'settle', ...settled, letter: text.slice(0, -1) };
}
