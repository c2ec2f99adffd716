import { randomUUID } from 'node:crypto';
import type { OccurrenceClaim } from '../ledger/occurrence-claim.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import { CLAIM_MS, type OccurrenceEnd, type ScheduleStore } from './schedule-store.ts';

/**
 * How a run ends. `activated` has ended the occurrence already, in the step that did it; `stopped` has a plan that something speaks against; what was
 * `left` is another's to take up.
 */
export type RunEnd =
  | { readonly kind: 'activated'; readonly batch: string; readonly reason: string }
  | { readonly kind: 'skipped' | 'planned' | 'stopped' | 'failed'; readonly reason: string }
  | { readonly kind: 'left' };

/** What a run is given. */
export interface RunRequest {
  readonly rule: ScheduleConfig;
  /** What the activation of a batch needs to know. */
  readonly claim: Omit<OccurrenceClaim, 'nowMs' | 'waitsBecause'>;
  /** Ends it: somebody stops it, or another process has the occurrence. */
  readonly signal: AbortSignal;
}

export type Run = (request: RunRequest) => Promise<RunEnd>;

/** Names this process among those that claim occurrences. */
export function newHolder(): string {
  return randomUUID();
}

/** An occurrence that this process has claimed. */
export class ClaimedOccurrence {
  readonly #store: ScheduleStore;
  readonly #rule: ScheduleConfig;
  readonly #now: () => Promise<number>;
  readonly #claim: RunRequest['claim'];

  constructor(
    store: ScheduleStore,
    rule: ScheduleConfig,
    now: () => Promise<number>,
    claim: Pick<OccurrenceClaim, 'id' | 'holder' | 'isDue'>,
  ) {
    this.#store = store;
    this.#rule = rule;
    this.#now = now;
    this.#claim = { schedule: rule.name, ...claim };
  }

  /** Does the work of a run, and ends the occurrence as the run ends. @returns undefined where it is another's, or was left */
  async run(work: Run, signal: AbortSignal): Promise<OccurrenceEnd | undefined> {
    const { id, holder } = this.#claim;
    const { name } = this.#rule;
    const lost = new AbortController();
    const renewing = setInterval(() => {
      void (async () => {
        const held = await this.#store.claim(name, id, holder, await this.#now());
        // An occurrence that has ended has done so by this very run.
        if (held === 'held') lost.abort();
      })().catch(() => undefined);
    }, CLAIM_MS / 3);
    try {
      const end = await work({ rule: this.#rule, claim: this.#claim, signal: AbortSignal.any([signal, lost.signal]) });
      switch (end.kind) {
        case 'left':
          return undefined;
        case 'activated': {
          const { batch, reason } = end;
          return { occurrence: id, state: 'activated', batch, reason, at: await this.#now() };
        }
        case 'stopped':
          return await this.#end({ state: 'planned', reason: end.reason, isStopped: true }, true);
        case 'skipped':
        case 'planned':
        case 'failed':
          return await this.#end({ state: end.kind, reason: end.reason }, true);
      }
    } finally {
      clearInterval(renewing);
    }
  }

  /** @returns undefined where it has ended already, or another process has it */
  skip(reason: string): Promise<OccurrenceEnd | undefined> {
    return this.#end({ state: 'skipped', reason }, false);
  }

  /** @param isRun - it was at work: what became due meanwhile would have overlapped */
  async #end(
    how: Pick<OccurrenceEnd, 'state' | 'reason' | 'isStopped'>,
    isRun: boolean,
  ): Promise<OccurrenceEnd | undefined> {
    const { id, holder, isDue } = this.#claim;
    const entry = { occurrence: id, ...how, at: await this.#now() };
    // What an operator has asked for by hand says nothing of the next run.
    const isPause = how.state === 'failed' && isDue;
    const isEnded = await this.#store.end(this.#rule.name, entry, { holder, isDue, isRun, isPause });
    return isEnded ? { ...entry, batch: null } : undefined;
  }
}
