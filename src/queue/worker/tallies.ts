import { OUTCOMES, type Outcome } from '../../core/batch.ts';
import type { Verdict } from '../../core/decide.ts';
import { isRefusal } from '../../core/direct-job.ts';
import type { WorkerEvent } from './account-worker.ts';

/** What a process has done for an account since it started. */
export interface AccountTally {
  readonly account: string;
  /** Items in hand now. */
  readonly inHand: number;
  /** Calls answered, by verdict. */
  readonly calls: Readonly<Record<Verdict['kind'], number>>;
  /** Items settled, by outcome. */
  readonly settled: Readonly<Record<Outcome, number>>;
}

/** The worker's events that need attention, as the log names them. */
const TROUBLES = [
  'batch-paused',
  'defect',
  'jobs-lost',
  'lanes-lost',
  'limit-paused',
  'settled-unrecorded',
  'silent',
  'swept',
  'trouble',
  'unowned',
] as const;
type Trouble = (typeof TROUBLES)[number];

/** Counts what the worker of an account tells: plain numbers, and the one place that has them. The screen and the metrics read them. */
export class Tally {
  readonly calls: Record<Verdict['kind'], number> = {
    done: 0,
    unclear: 0,
    inactive: 0,
    retry: 0,
    throttled: 0,
    dead: 0,
    halt: 0,
  };
  readonly settled = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
  /** Halts that this process marked, by scope. */
  readonly halts = { account: 0, instance: 0, host: 0 };
  /** Calls that were not sent, since their slots had ended by then. */
  lateCalls = 0;
  /** Jobs of other programs that the account's rules refused. */
  refusedJobs = 0;
  readonly troubles = Object.fromEntries(TROUBLES.map((name) => [name, 0])) as Record<Trouble, number>;

  count(event: WorkerEvent): void {
    switch (event.kind) {
      case 'answer':
        this.calls[event.verdict.kind] += 1;
        return;
      case 'call-late':
        this.lateCalls += 1;
        return;
      case 'settled':
        if (event.how === 'unknown') this.troubles['settled-unrecorded'] += 1;
        else this.settled[event.outcome] += 1;
        if (event.outcome === 'dead' && isRefusal(event.code)) this.refusedJobs += 1;
        return;
      case 'item-cancelled':
        this.settled[event.outcome] += 1;
        return;
      case 'halted':
        this.halts[event.scope] += 1;
        return;
      case 'host-halted':
        this.halts.host += 1;
        return;
      case 'batch-paused':
      case 'defect':
      case 'jobs-lost':
      case 'lanes-lost':
      case 'limit-paused':
      case 'silent':
      case 'swept':
      case 'trouble':
      case 'unowned':
        this.troubles[event.kind] += 1;
        return;
      // The limiter counts its own; the others change nothing that is counted.
      case 'limiter':
      case 'marked':
      case 'phase':
      case 'drained':
      case 'lifted':
      case 'host-lifted':
      case 'stopped':
      case 'started':
        return;
    }
  }

  /** The numbers at this moment, for people. */
  of(account: string, inHand: number): AccountTally {
    return { account, inHand, calls: { ...this.calls }, settled: { ...this.settled } };
  }
}
