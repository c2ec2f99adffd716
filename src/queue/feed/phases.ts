import type { Phase } from '../../core/retirement.ts';
import type { Batch } from '../../ledger/batch-record.ts';
import type { Ledger } from '../../ledger/ledger.ts';

/** A batch that retires is in another phase. */
export interface PhaseBegun {
  readonly kind: 'phase';
  readonly batch: string;
  readonly phase: Phase;
}

export interface PhasesParts {
  readonly ledger: Pick<Ledger, 'retirements'>;
  readonly monotonicMs: () => number;
  readonly tell: (event: PhaseBegun) => void;
}

/** How often the end of a soak is checked: the clocks of hosts play no part in it, and that of Redis may be set. */
const ASK_WITHIN_MS = 60_000;

/** Moves running batches that retire to their next phase. */
export class Phases {
  readonly #parts: PhasesParts;
  /** When to ask again about a batch that soaks. */
  readonly #notBefore = new Map<string, number>();

  constructor(parts: PhasesParts) {
    this.#parts = parts;
  }

  /** Whether the batch may be fed as it was read. Costs nothing while it does not retire, or soaks. */
  async mayFeed({ id, counts, retirement }: Batch, pending: number): Promise<boolean> {
    if (retirement === undefined || retirement.phase === 'deleting') return true;
    const { ledger, monotonicMs, tell } = this.#parts;
    const { phase, passed } = retirement;
    if (phase === 'inactivating' && (counts.accepted === 0 || passed < pending)) return true;
    if (monotonicMs() < (this.#notBefore.get(id) ?? 0)) return false;
    const next = await ledger.retirements.next(id);
    if (next.isNew && next.phase !== undefined) tell({ kind: 'phase', batch: id, phase: next.phase });
    this.#notBefore.set(id, monotonicMs() + Math.min(next.leftMs, ASK_WITHIN_MS));
    // What was read of it no longer holds.
    return false;
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const id of this.#notBefore.keys()) if (!batches.has(id)) this.#notBefore.delete(id);
  }
}
