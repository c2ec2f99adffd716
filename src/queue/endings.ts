import { reconcile, type Noted } from '../core/decide.ts';
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
  readonly settleDead: (item: Item, wait: JobWait, why: Reason, requestId?: string) => Promise<'ended' | Noted>;
  /** The same without an answer of the API that could be judged again: the letter alone changes with what the ledger knows. */
  readonly endDead: (item: Item, wait: JobWait, why: Reason) => Promise<void>;
}

type Reason = Pick<DeadLetter, 'code' | 'message'>;

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
  const settleDead: Endings['settleDead'] = async (item, wait, why, requestId = '') => {
    const letter = JSON.stringify(await letterOf(ledger, item, why, requestId));
    return settle(item, wait, { outcome: 'dead', code: why.code, requestId, letter });
  };
  return {
    settle,
    settleDead,
    async endDead(item, wait, why) {
      const noted = await settleDead(item, wait, why);
      if (noted !== 'ended') expectEnded(await settleDead(correct(item, wait, noted), wait, why));
    },
  };
}

/** @throws where other runs of the item are so busy that their calls were noted twice meanwhile: it is looked at again later */
export function expectEnded(ended: 'ended' | Noted): void {
  if (ended !== 'ended') throw new Error('other runs of the item have called meanwhile');
}

/** The item with its record as the ledger lets it stand. What the run itself has heard needs no proof. */
export function correct(item: Item, wait: JobWait, noted: Noted): Item {
  const isOwn = wait.departed && noted === 'none';
  return isOwn ? item : { ...item, attempt: reconcile(item.attempt, noted) };
}

/** The letter of an item that ends dead now. */
export async function letterOf(
  ledger: Pick<Ledger, 'history'>,
  { batch, n, retries, attempt, certificate }: Item,
  { code, message }: Reason,
  requestId: string,
): Promise<DeadLetter> {
  const history = retries === 0 ? [] : await ledger.history(batch, n);
  const { calls: attempts, effectUnknown } = attempt;
  return { ...certificate, code, message, requestId, attempts, at: Date.now(), effectUnknown, history };
}
