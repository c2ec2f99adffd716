import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, type BackoffPolicy } from '../core/backoff.ts';
import { blameOf } from '../core/code-table.ts';
import { decide, FIRST_ATTEMPT, recordAttempt, type KeyTrust } from '../core/decide.ts';
import type { ReadAnswer } from '../core/registered.ts';
import type { Limiter } from '../limiter/contract.ts';

/** How a read ended. */
export type ReadEnd<Data> =
  | { readonly kind: 'read'; readonly data: Data }
  /** The API's judgement, or the last failure where the tries ran out. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** The account is stopped in all processes. */
  | { readonly kind: 'halted'; readonly code: string; readonly message: string }
  | { readonly kind: 'closed' };

export interface ReadDeskParts {
  readonly slots: Limiter;
  /** Gives a quarter of the pace to all readers together. */
  readonly quarter: () => Limiter;
  /** Whether a batch is running: then reads go through `quarter` first. */
  readonly isBusy: () => boolean;
  readonly policy: BackoffPolicy & { readonly attempts: number };
  readonly refreshCredentials: () => void;
}

/** Reads concern the account: an instance that is halted for deletions may well be read. */
const NO_INSTANCE = '';

/**
 * Reads with slots as every call has, and again where that helps: the codes decide, as for deletions. What a read hears halts nobody and lifts no
 * halt, since it needs another permission than a deletion does.
 */
export class ReadDesk {
  readonly #parts: ReadDeskParts;
  #calls = 0;

  constructor(parts: ReadDeskParts) {
    this.#parts = parts;
  }

  /** Calls that were sent so far. */
  get calls(): number {
    return this.#calls;
  }

  /** @param call - makes the call before `notAfterMs` or not at all */
  async read<Data>(call: (notAfterMs: number) => Promise<ReadAnswer<Data>>): Promise<ReadEnd<Data>> {
    const { policy, refreshCredentials } = this.#parts;
    let attempt = FIRST_ATTEMPT;
    let trust: KeyTrust = 'untried';
    for (;;) {
      const slot = await this.#slot();
      if (slot.kind !== 'slot') return slot;
      const answer = await call(slot.notAfterMs);
      if (answer.kind !== 'not-sent') this.#calls += 1;
      const isThrottled = answer.kind === 'refused' && blameOf(answer.code) === 'rate';
      await slot.report(isThrottled ? { kind: 'throttled', retryAfterMs: answer.retryAfterMs ?? 0 } : { kind: 'void' });
      if (answer.kind === 'accepted') return { kind: 'read', data: answer.data };
      const verdict = decide(answer, attempt, { ...policy, notFound: 'dead' }, trust);
      attempt = recordAttempt(attempt, answer, verdict);
      switch (verdict.kind) {
        case 'done':
        case 'dead':
        case 'halt': {
          const { message } = answer;
          return { kind: 'refused', code: answer.kind === 'refused' ? answer.code : verdictCode(verdict), message };
        }
        case 'throttled':
          break;
        case 'retry':
          if (verdict.again === 'fresh-credentials') {
            refreshCredentials();
            trust = 'failed';
          } else if (verdict.again === 'backoff') await sleep(backoffMs(attempt.failures, policy, Math.random()));
          break;
      }
    }
  }

  async #slot(): Promise<SlotEnd> {
    const { slots, quarter, isBusy } = this.#parts;
    if (isBusy()) {
      const turn = await quarter().take({ instanceId: NO_INSTANCE, isUrgent: false });
      if (turn.kind === 'closed') return { kind: 'closed' };
    }
    return takeSlot(slots, false);
  }
}

/** A slot that concerns the account and no instance. */
export async function takeSlot(slots: Limiter, isUrgent: boolean): Promise<SlotEnd> {
  const grant = await slots.take({ instanceId: NO_INSTANCE, isUrgent });
  switch (grant.kind) {
    case 'slot':
      if (!grant.isProbe) return grant;
      await grant.report({ kind: 'void' });
      return { kind: 'halted', code: 'halted', message: 'a worker has to prove first that its calls work again' };
    case 'halted':
      return { kind: 'halted', code: grant.code, message: grant.message };
    case 'refused':
    case 'closed':
      return { kind: 'closed' };
  }
}

type Taken = Awaited<ReturnType<Limiter['take']>>;
type SlotEnd = Extract<Taken, { kind: 'slot' }> | Exclude<ReadEnd<never>, { kind: 'read' | 'refused' }>;

function verdictCode(
  verdict: { readonly kind: 'done' } | { readonly kind: 'dead' | 'halt'; readonly code: string },
): string {
  return verdict.kind === 'done' ? 'not-found' : verdict.code;
}
