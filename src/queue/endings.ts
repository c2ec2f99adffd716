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

/** How an item ends: what is written of it, and who is told. Both throw where the job is no longer ours, unless it tells a revocation. */
export interface Endings {
  readonly settle: (
    item: Item,
    wait: JobWait,
    end: Pick<Settlement, 'outcome' | 'code' | 'requestId' | 'letter' | 'byAbsence'>,
  ) => Promise<void>;
  /** With a dead letter that holds all that is known of it. */
  readonly settleDead: (
    item: Item,
    wait: JobWait,
    why: Pick<DeadLetter, 'code' | 'message'>,
    requestId?: string,
  ) => Promise<void>;
}

export function endingsOf(ledger: Pick<Ledger, 'settle'>, tell: (event: SettledEvent) => void): Endings {
  const settle: Endings['settle'] = async (item, wait, end) => {
    // A success is one whoever has the job. Anything else may have become a lie: another run's call may have worked meanwhile.
    if (end.outcome !== 'revoked') await wait.keepLock();
    const { batch, n, attempt, retries, adoptedFrom } = item;
    const adopted = adoptedFrom === undefined ? {} : { jobId: adoptedFrom };
    const settlement: Settlement = { batch, n, retries, attempts: attempt.calls, ...end, ...adopted };
    const settled = await ledger.settle(settlement);
    // Told all the same where Redis has lost the batch: the log is then the only record of what was done.
    if (settled !== 'already') tell({ kind: 'settled', item, settlement, how: settled });
  };
  return {
    settle,
    async settleDead(item, wait, { code, message }, requestId = '') {
      const { history, attempt, certificate } = item;
      const letter: DeadLetter = {
        ...certificate,
        code,
        message,
        requestId,
        attempts: attempt.calls,
        at: Date.now(),
        effectUnknown: attempt.effectUnknown,
        history,
      };
      await settle(item, wait, { outcome: 'dead', code, requestId, letter: JSON.stringify(letter) });
    },
  };
}
