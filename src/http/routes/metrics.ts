import type { AccountPace } from '../../app/paces.ts';
import { measure, type Measures } from '../../app/measures.ts';
import { METRICS_TYPE } from '../../runtime/health.ts';
import { DURATION_BUCKETS, Metrics, processMetrics, type Series } from '../../runtime/metrics.ts';
import { addRoute, type Api, type Surroundings } from '../api.ts';
import { forbidden } from '../rights.ts';

/** How long what was read of Redis is kept, however many ask. */
const LIFE_MS = 1_000;
/** A collector gives up after ten seconds, and should hear before that Redis does not answer. */
const REDIS_WITHIN_MS = 3_000;

/** What Redis holds, as gauges: scrape one process for it, or any one behind a balancer. Workers show what they do themselves. */
export function addMetrics(api: Api, { store }: Surroundings): void {
  let seen: Measures | undefined;
  const metrics = new Metrics();
  describe(metrics, () => seen);
  const roundTrip = metrics.histogram(
    { name: 'certsweep_redis_round_trip_seconds', help: "From a command to Redis' answer", labels: [] },
    DURATION_BUCKETS,
  )({});
  let text: { readonly is: Promise<string>; readonly untilMs: number } | undefined;

  let isAsking = false;
  const ask = async (): Promise<Measures> => {
    isAsking = true;
    return measure(store).finally(() => (isAsking = false));
  };
  const collect = async (): Promise<string> => {
    // A Redis that hangs is not asked again and again.
    seen = store.redis.status === 'ready' && !isAsking ? await inTime(ask()) : undefined;
    if (seen !== undefined) roundTrip(seen.roundTripMs / 1_000);
    return `${await metrics.text()}\n${await processMetrics()}`;
  };

  addRoute(
    api,
    {
      method: 'get',
      path: '/metrics',
      right: 'read',
      summary: 'What Redis holds, for Prometheus',
      answers: { 200: { description: "Prometheus' text form.", types: ['text/plain'] } },
    },
    async (asked) => {
      const { accounts, name } = asked.get('who');
      if (accounts !== undefined)
        throw forbidden(
          `Token ${name} is for some accounts, and the metrics are of all.`,
          'Use a token without accounts.',
        );
      const nowMs = performance.now();
      if (text === undefined || nowMs >= text.untilMs) text = { is: collect(), untilMs: nowMs + LIFE_MS };
      return asked.body(await text.is, 200, { 'content-type': METRICS_TYPE });
    },
  );
}

/** Undefined where Redis does not answer: then `certsweep_redis_up` says so, and the rest is not known. */
async function inTime(measuring: Promise<Measures>): Promise<Measures | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), REDIS_WITHIN_MS);
  });
  return Promise.race([measuring.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}

function describe(metrics: Metrics, seen: () => Measures | undefined): void {
  const gauge = (name: string, help: string, labels: string[], read: (now: Measures) => Iterable<Series>): void => {
    metrics.gauge({ name, help, labels }, () => {
      const now = seen();
      return now === undefined ? [] : read(now);
    });
  };
  const number = (name: string, help: string, read: (now: Measures) => number | undefined): void =>
    gauge(name, help, [], (now) => {
      const value = read(now);
      return value === undefined ? [] : [{ labels: {}, value }];
    });
  const ofAccounts = (name: string, help: string, read: (account: AccountPace, now: Measures) => number): void =>
    gauge(name, help, ['account'], (now) =>
      now.accounts.map((one) => ({ labels: { account: one.account }, value: read(one, now) })),
    );

  metrics.gauge({ name: 'certsweep_redis_up', help: 'Redis answers: 1 or 0', labels: [] }, () => [
    { labels: {}, value: seen() === undefined ? 0 : 1 },
  ]);
  gauge('certsweep_pending_items', 'Items without an outcome, by the state of their batches', ['state'], (now) =>
    Object.entries(now.pending)
      .filter(([state]) => state !== 'planned' && state !== 'completed')
      .map(([state, value]) => ({ labels: { state }, value })),
  );
  const oldest = 'Since when some batch has had items pending, the longest such time; absent when nothing is pending';
  number('certsweep_oldest_pending_timestamp_seconds', oldest, ({ pendingSince }) =>
    pendingSince === undefined ? undefined : pendingSince / 1_000,
  );
  number('certsweep_dead_letters', 'Dead letters to retry or discard', ({ deadLetters }) => deadLetters);
  number('certsweep_paused_batches', 'Batches that wait to be resumed', ({ pausedBatches }) => pausedBatches);
  number('certsweep_stopped', 'Every call of every account is stopped: 1 or 0', ({ stopped }) =>
    stopped === null ? 0 : 1,
  );
  gauge('certsweep_standing_halts', 'Halts now, of the account, its instances or hosts', ['account', 'scope'], (now) =>
    now.accounts.flatMap(({ account, halts }) => {
      const count = { account: 0, instance: 0, host: 0 };
      for (const halt of halts)
        count['host' in halt ? 'host' : halt.instanceId === undefined ? 'account' : 'instance'] += 1;
      return Object.entries(count).map(([scope, value]) => ({ labels: { account, scope }, value }));
    }),
  );
  const configured = 'Calls a second that the configuration of this process allows over all workers';
  ofAccounts('certsweep_pace_configured_per_second', configured, ({ configuredQps }) => configuredQps);
  const inForce = 'Calls a second that workers may make now';
  ofAccounts('certsweep_pace_in_force_per_second', inForce, ({ inForceQps }) => inForceQps);
  gauge('certsweep_pace_used_per_second', 'Slots given a second, over some ten seconds', ['account'], (now) =>
    now.accounts.flatMap(({ account, usedQps }) => (usedQps === null ? [] : [{ labels: { account }, value: usedQps }])),
  );
  const fed = 'A worker feeds the account: 1 or 0';
  ofAccounts('certsweep_account_fed', fed, ({ isAttended }) => (isAttended ? 1 : 0));
  ofAccounts(
    'certsweep_workers',
    'Worker processes of the last ten seconds',
    ({ account }, { workers }) => workers.filter(({ accounts }) => accounts.includes(account)).length,
  );
}
