import type { Labels, Metrics, Observe, Series } from '../../runtime/metrics.ts';
import { DURATION_BUCKETS } from '../../runtime/metrics.ts';
import type { AccountWorker, WorkerEvent } from './account-worker.ts';
import type { Tally } from './tallies.ts';

/** An account of this process, and where its numbers are. */
export interface Metered {
  readonly account: string;
  readonly tally: Tally;
  /** Undefined until it is started. */
  readonly worker: () => Pick<AccountWorker, 'inHand' | 'slots' | 'feederLagMs'> | undefined;
}

/** What is measured as it happens; all else is counted anyway, and read at each scrape. */
export interface Meters {
  readonly hear: (event: WorkerEvent) => void;
  readonly roundTrip: (ms: number) => void;
}

/**
 * Names what a worker process shows of itself. What stands in Redis is no process' own: `certsweep serve` shows it, so that sums over workers are right.
 * @returns the meters of each account
 */
export function describeWorker(metrics: Metrics, accounts: readonly Metered[]): Map<string, Meters> {
  const each = function* (numbersOf: (one: Metered) => Iterable<readonly [label: Labels, value: number]>) {
    for (const one of accounts)
      for (const [labels, value] of numbersOf(one)) yield { labels: { account: one.account, ...labels }, value };
  };
  const counter = (
    name: string,
    help: string,
    label: string,
    numbersOf: (one: Metered) => Readonly<Record<string, number>>,
  ): void => {
    const read = (): Iterable<Series> =>
      each((one) =>
        Object.entries(numbersOf(one)).map(([key, value]) => [label === '' ? {} : { [label]: key }, value]),
      );
    metrics.counter({ name, help, labels: label === '' ? ['account'] : ['account', label] }, read);
  };
  const gauge = (name: string, help: string, valueOf: (one: Metered) => number | undefined): void => {
    const read = (): Iterable<Series> =>
      each((one) => {
        const value = valueOf(one);
        return value === undefined ? [] : [[{}, value]];
      });
    metrics.gauge({ name, help, labels: ['account'] }, read);
  };
  counter('certsweep_settled_total', 'Items settled by this process', 'outcome', ({ tally }) => tally.settled);
  counter('certsweep_calls_total', 'Calls answered', 'verdict', ({ tally }) => tally.calls);
  counter('certsweep_halts_total', 'Halts marked by this process', 'scope', ({ tally }) => tally.halts);
  const taken = 'Slots that callers of this process got: a call each, but for those that were late';
  counter('certsweep_slots_taken_total', taken, '', ({ worker }) => ({ taken: worker()?.slots.taken ?? 0 }));
  const unused = 'Slots lost to stalls, late replies of Redis, or its absence';
  counter('certsweep_slots_unused_total', unused, 'cause', ({ tally, worker }) => ({
    ...worker()?.slots.unused,
    'call-late': tally.lateCalls,
  }));
  const refused = 'Single jobs that the rules of the account refused';
  counter('certsweep_refused_jobs_total', refused, '', ({ tally }) => ({ refused: tally.refusedJobs }));
  const troubles = 'Events that need attention, as the log names them';
  counter('certsweep_troubles_total', troubles, 'event', ({ tally }) => tally.troubles);
  gauge('certsweep_items_in_hand', 'Items that this process works on', ({ worker }) => worker()?.inHand);
  const lag = 'Since this process last fed the account; only of the one that feeds';
  gauge('certsweep_feeder_lag_seconds', lag, ({ worker }) => secondsOf(worker()?.feederLagMs));
  return metersOf(metrics, accounts);
}

function metersOf(metrics: Metrics, accounts: readonly Metered[]): Map<string, Meters> {
  const duration = metrics.histogram(
    { name: 'certsweep_call_duration_seconds', help: 'From sending a call to its answer', labels: ['account'] },
    DURATION_BUCKETS,
  );
  const trip = metrics.histogram(
    { name: 'certsweep_redis_round_trip_seconds', help: "From a command to Redis' answer", labels: ['account'] },
    DURATION_BUCKETS,
  );
  return new Map(
    accounts.map(({ account, tally }) => {
      const took: Observe = duration({ account });
      const tripped: Observe = trip({ account });
      const hear = (event: WorkerEvent): void => {
        tally.count(event);
        if (event.kind === 'answer') took(event.tookMs / 1_000);
      };
      return [account, { hear, roundTrip: (ms: number) => tripped(ms / 1_000) }];
    }),
  );
}

function secondsOf(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}
