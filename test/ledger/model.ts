import type { Action, CallAction } from '../../src/core/action.ts';
import type { BatchState, Outcome } from '../../src/core/batch.ts';
import type { Phase } from '../../src/core/retirement.ts';
import type { Reopened } from '../../src/ledger/dead-letters.ts';

/** What the ledger should know of one batch, in the plainest terms. */
export interface ModelBatch {
  readonly id: string;
  /** The manifest that it came from; none for the direct batch. */
  readonly manifest?: number;
  readonly action: Action;
  /** Of one that retires. */
  phase?: Phase;
  /** Items that were marked inactive: whether they were so before. */
  readonly marked: Map<number, 'ours' | 'before'>;
  state: BatchState;
  readonly items: (Outcome | 'pending')[];
  /** The dead letters: of each, how often its item was dead before. */
  readonly letters: Map<number, number>;
  /** How often an item was dead whose letter was retried. */
  readonly deaths: Map<number, number>;
  readonly adopted: Map<string, number>;
  byAbsence: number;
}

/** How an item of a batch ends by our own call, and how where nothing was left to do. */
export const DONE = { delete: 'revoked', inactivate: 'inactivated', activate: 'activated' } as const;
export const ALREADY = { delete: 'already-gone', inactivate: 'already-inactive', activate: 'already-active' } as const;

/** What one call for an item of the batch is for; of one that retires, while nothing is known of the item. */
export function callOf({ action }: Pick<ModelBatch, 'action'>): CallAction {
  return action === 'retire' ? 'inactivate' : action;
}

/** Whether the item was marked and waits for the end of the soak. */
export function isSoaking({ phase, marked, items }: ModelBatch, n: number): boolean {
  return phase !== undefined && phase !== 'deleting' && marked.has(n) && items[n] === 'pending';
}

/** How an item ends that was marked and is not deleted. */
export function leftAs({ marked }: ModelBatch, n: number): 'inactivated' | 'already-inactive' | undefined {
  const mark = marked.get(n);
  return mark && (mark === 'ours' ? 'inactivated' : 'already-inactive');
}

/** The ledger as a person would explain it. Written without the product's own table of transitions. */
export class Model {
  readonly batches: ModelBatch[] = [];
  /** A manifest to the batch that works on it. */
  readonly working = new Map<number, string>();

  pick(index: number): ModelBatch | undefined {
    return this.batches[index % Math.max(1, this.batches.length)];
  }

  submit(manifest: number, id: string, items: number, action: Action): ModelBatch {
    this.working.set(manifest, id);
    return this.#open({ id, manifest, count: items, action });
  }

  settle(
    batch: ModelBatch,
    n: number,
    outcome: Outcome,
    byAbsence: boolean,
  ): 'settled' | 'drained' | 'already' | 'unknown' {
    if (n >= batch.items.length) return 'unknown';
    if (batch.items[n] !== 'pending') return 'already';
    batch.items[n] = outcome;
    if (outcome === 'dead') batch.letters.set(n, batch.deaths.get(n) ?? 0);
    if (byAbsence) batch.byAbsence += 1;
    for (const [job, of] of batch.adopted) if (of === n) batch.adopted.delete(job);
    return this.#drain(batch) ? 'drained' : 'settled';
  }

  reopen(batch: ModelBatch, n: number): Reopened {
    const before = batch.letters.get(n);
    if (before === undefined) return 'gone';
    if (batch.state === 'cancelled') return 'cancelled';
    batch.letters.delete(n);
    batch.deaths.set(n, before + 1);
    batch.items[n] = 'pending';
    if (batch.state === 'completed') batch.state = 'running';
    return 'reopened';
  }

  discard(batch: ModelBatch, n: number): boolean {
    return batch.letters.delete(n);
  }

  /** @returns whether it has a place */
  change(batch: ModelBatch, event: 'pause' | 'resume' | 'cancel'): boolean {
    const { state } = batch;
    const isOver = state === 'completed' && batch.manifest === undefined;
    // The direct batch can be held while nothing of it pends, so that its next job waits.
    if (event === 'pause' && (state === 'running' || isOver)) batch.state = 'paused';
    else if (event === 'resume' && state === 'paused') {
      batch.state = 'running';
      this.#drain(batch);
    } else if (event === 'cancel' && (state === 'running' || state === 'paused')) {
      batch.state = 'cancelled';
      if (batch.phase !== undefined) batch.phase = 'deleting';
      this.#free(batch);
    } else return false;
    return true;
  }

  cancelItems(batch: ModelBatch, ordinals: readonly number[]): number {
    if (batch.state !== 'cancelled') return 0;
    const open = [...new Set(ordinals)].filter((n) => batch.items[n] === 'pending');
    for (const n of open) batch.items[n] = 'cancelled';
    // So that a producer may have the certificate taken in again.
    for (const [job, n] of batch.adopted) if (open.includes(n)) batch.adopted.delete(job);
    if (open.length > 0) this.#drain(batch);
    return open.length;
  }

  /** @returns the ordinal; undefined where it is refused */
  adopt(id: string, job: string): { n: number; isNew: boolean; key: string } | undefined {
    const batch = this.batches.find((known) => known.id === id) ?? this.#open({ id, count: 0, action: 'delete' });
    const known = batch.adopted.get(job);
    if (known !== undefined) return { n: known, isNew: false, key: job };
    if (batch.state === 'cancelled' && batch.items.includes('pending')) return undefined;
    if (batch.state !== 'paused') batch.state = 'running';
    batch.items.push('pending');
    batch.adopted.set(job, batch.items.length - 1);
    return { n: batch.items.length - 1, isNew: true, key: job };
  }

  #open(batchOf: { id: string; manifest?: number; count: number; action: Action }): ModelBatch {
    const { id, manifest, count, action } = batchOf;
    const batch: ModelBatch = {
      id,
      action,
      ...(manifest !== undefined && { manifest }),
      state: 'running',
      items: Array.from({ length: count }, () => 'pending'),
      letters: new Map(),
      deaths: new Map(),
      adopted: new Map(),
      byAbsence: 0,
      ...(action === 'retire' && { phase: 'inactivating' as const }),
      marked: new Map(),
    };
    this.batches.push(batch);
    return batch;
  }

  /** @returns whether nothing is pending */
  #drain(batch: ModelBatch): boolean {
    if (batch.items.includes('pending')) return false;
    // The next job must not run before somebody resumes it.
    if (batch.manifest === undefined && batch.state === 'paused') return false;
    if (batch.state !== 'cancelled') batch.state = 'completed';
    this.#free(batch);
    return true;
  }

  #free({ manifest, id }: ModelBatch): void {
    if (manifest !== undefined && this.working.get(manifest) === id) this.working.delete(manifest);
  }
}
