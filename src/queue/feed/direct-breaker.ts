import { DIRECT_WINDOW, directVerdict, settledOf, type BreakerPolicy } from '../../core/batch.ts';
import { countsSinceResume } from '../../ledger/batch-record.ts';
import { directBatchOf } from '../../ledger/direct-items.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { pauseReason } from './breaker.ts';

export interface BatchPaused {
  readonly kind: 'batch-paused';
  readonly batch: string;
  readonly settled: number;
  readonly dead: number;
}

export interface DirectBreakerParts {
  readonly ledger: Pick<Ledger, 'batches' | 'direct'>;
  readonly account: { readonly name: string };
  readonly breaker: BreakerPolicy;
  readonly monotonicMs: () => number;
  readonly tell: (event: BatchPaused) => void;
}

const CHECK_EVERY_MS = 1_000;

/** Pauses the direct batch of an account when too many of its last items are dead: a producer is likely wrong. It has no ramp. */
export class DirectBreaker {
  readonly #parts: DirectBreakerParts;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #judged = '';

  constructor(parts: DirectBreakerParts) {
    this.#parts = parts;
  }

  /** Costs one read a second while nothing has changed. */
  async check(): Promise<void> {
    const { ledger, account, breaker, monotonicMs, tell } = this.#parts;
    if (monotonicMs() - this.#checkedAtMs < CHECK_EVERY_MS) return;
    this.#checkedAtMs = monotonicMs();
    const batch = await ledger.batches.find(directBatchOf(account.name));
    if (batch?.state !== 'running' && batch?.state !== 'completed') return;
    const since = countsSinceResume(batch);
    const settled = settledOf(since);
    const judged = `${batch.resumes} ${settled} ${since.dead}`;
    if (judged === this.#judged) return;
    this.#judged = judged;
    // The last ones have no more dead than all of them.
    if (settled < breaker.minSample || since.dead <= 1) return;
    const last = await ledger.direct.lastEnds(batch.id, Math.min(settled, Math.max(DIRECT_WINDOW, breaker.minSample)));
    const verdict = directVerdict(last, breaker);
    if (verdict.kind !== 'pause') return;
    const deed = {
      event: 'breaker-pause',
      pausedBecause: pauseReason(batch.id, verdict),
      resumes: batch.resumes,
    } as const;
    const change = await ledger.batches.change(batch.id, 'pause', deed);
    if (change.kind === 'changed') tell({ kind: 'batch-paused', batch: batch.id, ...last });
  }
}
