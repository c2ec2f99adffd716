import { OUTCOMES, type Outcome } from '../../core/batch.ts';
import type { Verdict } from '../../core/decide.ts';
import { Metrics } from '../../runtime/metrics.ts';
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

/** The counters of a worker, each described. */
export function workerMetrics(): Metrics {
  const metrics = new Metrics();
  metrics.describe('certsweep_settled_total', 'Items settled by this process, by outcome');
  metrics.describe('certsweep_calls_total', 'Calls answered, by verdict');
  metrics.describe('certsweep_halts_total', 'Halts marked by this process');
  metrics.describe('certsweep_slots_unused_total', 'Slots lost to stalls, late replies of Redis, or its absence');
  return metrics;
}

/** The same numbers as the metrics show. */
export function tallyOf(metrics: Metrics, account: string, inHand: number): AccountTally {
  const calls = (verdict: Verdict['kind']): number => metrics.value('certsweep_calls_total', { account, verdict });
  const settled = (outcome: Outcome): number => metrics.value('certsweep_settled_total', { account, outcome });
  return {
    account,
    inHand,
    calls: {
      done: calls('done'),
      look: calls('look'),
      retry: calls('retry'),
      throttled: calls('throttled'),
      dead: calls('dead'),
      halt: calls('halt'),
    },
    settled: Object.fromEntries(OUTCOMES.map((outcome) => [outcome, settled(outcome)])) as AccountTally['settled'],
  };
}

/** Counts what the worker of an account told. */
export function countEvent(metrics: Metrics, account: string, event: WorkerEvent): void {
  if (event.kind === 'settled' && event.how !== 'unknown')
    metrics.add('certsweep_settled_total', { account, outcome: event.outcome });
  if (event.kind === 'item-cancelled') metrics.add('certsweep_settled_total', { account, outcome: 'cancelled' });
  if (event.kind === 'answer') metrics.add('certsweep_calls_total', { account, verdict: event.verdict.kind });
  if (event.kind === 'halted') metrics.add('certsweep_halts_total', { account, scope: event.scope });
  if (event.kind === 'host-halted') metrics.add('certsweep_halts_total', { account, scope: 'host' });
  if (event.kind === 'limiter')
    metrics.add('certsweep_slots_unused_total', { account, cause: event.notice.kind }, event.notice.count);
}
