import type { Noted } from '../core/decide.ts';
import type { DeadLetter } from '../ledger/dead-letters.ts';
import type { Ledger, Settlement } from '../ledger/ledger.ts';
import type { Item } from './item.ts';
import type { JobWait } from './job-wait.ts';

/** An item has its outcome. `how` as the ledger answered: `unknown` where Redis has lost the batch. */
export interface SettledEvent {
  readonly kind: 'settled';
  readonly item: Item;
  readonly settlement: Settlement;
  readonly how: 'settled' | 'drained' | 'unknown';
}

/** A settlement without what the item and its run say. */
type End = Pick<Settlement, 'outcome' | 'code' | 'requestId' | 'letter' | 'byAbsence'>;

/**
 * How an item ends: what is written of it, and who is told. Each answers `ended`, or where nothing was written, since the ledger knows of other
 * calls than the item's record does, what it knows. Each ends the run where the job is no longer its own, unless it tells a revocation.
 */
export interface Endings {
  readonly settle: (item: Item, wait: JobWait, end: End) => Promise<'ended' | Noted>;
  /** With a dead letter that holds all that is known of it. */
  readonly settleDead: (
    item: Item,
    wait: JobWait,
    why: Pick<DeadLetter, 'code' | 'message'>,
    requestId?: string,
  ) => Promise<'ended' | Noted>;
}

export function endingsOf(ledger: Pick<Ledger, 'settle' | 'history'>, tell: (event: SettledEvent) => void): Endings {
  const settle: Endings['settle'] = async (item, wait, end) => {
    const { batch, n, attempt, retries, adoptedFrom } = item;
    const adopted = adoptedFrom === undefined ? {} : { jobId: adoptedFrom };
    const settlement: Settlement = {
      batch,
      n,
      retries,
      attempts: attempt.calls,
      ...end,
      ...adopted,
      run: wait.run(item),
      doubt: attempt.effectUnknown,
      isHeard: wait.departed,
    };
    const settled = await ledger.settle(settlement);
    switch (settled) {
      case 'lock-lost':
        return wait.standAside();
      case 'none':
      case 'told':
      case 'untold':
        return settled;
      case 'settled':
      case 'drained':
      case 'unknown':
        // Told all the same where Redis has lost the batch: the log is then the only record of what was done.
        tell({ kind: 'settled', item, settlement, how: settled });
        return 'ended';
      case 'already':
        return 'ended';
    }
  };
  return {
    settle,
    async settleDead(item, wait, why, requestId = '') {
      const letter = JSON.stringify(await letterOf(ledger, item, why, requestId));
      return settle(item, wait, { outcome: 'dead', code: why.code, requestId, letter });
    },
  };
}

/** The letter of an item that ends dead now. */
export async function letterOf(
  ledger: Pick<Ledger, 'history'>,
  { batch, n, retries, attempt, certificate }: Item,
  { code, message }: Pick<DeadLetter, 'code' | 'message'>,
  requestId: string,
): Promise<DeadLetter> {
  const history = retries === 0 ? [] : await ledger.history(batch, n);
  const { calls: attempts, effectUnknown } = attempt;
  return { ...certificate, code, message, requestId, attempts, at: Date.now(), effectUnknown, history };
}
