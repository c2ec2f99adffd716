import type { BackoffPolicy } from '../core/backoff.ts';
import type { Verdict } from '../core/decide.ts';
import type { ReadAnswer } from '../core/registered.ts';
import type { Limiter } from '../limiter/contract.ts';
import { callInSlots, NO_INSTANCE, takeSlot, type NoSlot, type SlotEnd } from './slotted-call.ts';

/** How a read ended. */
export type ReadEnd<Data> =
  | { readonly kind: 'read'; readonly data: Data }
  /** The API's judgement, or the last failure where the tries ran out. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | NoSlot;

export interface ReadDeskParts {
  readonly slots: Limiter;
  /** Gives a quarter of the pace to all readers together. */
  readonly quarter: () => Limiter;
  /** Whether a batch is running: then reads go through `quarter` first. */
  readonly isBusy: () => boolean;
  readonly policy: BackoffPolicy & { readonly attempts: number };
  readonly refreshCredentials: () => void;
}

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
    const end = await callInSlots({
      slot: () => this.#slot(),
      call: async (notAfterMs) => {
        const answer = await call(notAfterMs);
        if (answer.kind !== 'not-sent') this.#calls += 1;
        return answer;
      },
      policy,
      refreshCredentials,
      isLast: () => false,
    });
    if (end.kind !== 'heard') return end;
    const { answer, verdict } = end;
    if (answer.kind === 'accepted') return { kind: 'read', data: answer.data };
    return {
      kind: 'refused',
      code: answer.kind === 'refused' ? answer.code : codeIn(verdict),
      message: answer.message,
    };
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

function codeIn(verdict: Verdict | undefined): string {
  return verdict?.kind === 'dead' || verdict?.kind === 'halt' ? verdict.code : 'not-found';
}
