import { readSamples, sampledClocks, type PaceSample } from '../limiter/pace/samples.ts';
import type { Store } from './store.ts';

export type { PaceSample } from '../limiter/pace/samples.ts';

/** The last hour of an account's pace, or of a source address'. */
export interface PaceHistory {
  readonly kind: 'account' | 'egress';
  readonly name: string;
  /** One for ten seconds, the oldest first. There are none of times in which no worker ran for an account. */
  readonly samples: readonly PaceSample[];
}

/** Every account and source address that had a worker within the last hour: accounts first, each by name. */
export async function paceHistory({ redis, prefix }: Store): Promise<PaceHistory[]> {
  const clocks = await sampledClocks(redis, prefix);
  const histories = await Promise.all(
    clocks.map(async (of): Promise<PaceHistory> => {
      const samples = await readSamples(redis, prefix, of);
      return 'account' in of
        ? { kind: 'account', name: of.account, samples }
        : { kind: 'egress', name: of.egress, samples };
    }),
  );
  return histories.toSorted((a, b) => (`${a.kind} ${a.name}` < `${b.kind} ${b.name}` ? -1 : 1));
}
