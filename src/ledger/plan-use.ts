import { CLOCK, script } from '../runtime/redis/script.ts';
import type { LedgerStore } from './keys.ts';

/** How long a plan file is good, from its inventory on. */
export const PLAN_GOOD_MS = 24 * 3_600_000;
/** So long is kept which batch used it: longer than it is good, and than a batch may wait to be activated. */
export const USED_PLAN_MS = 2 * PLAN_GOOD_MS;

const useScript = script<[number, string]>(`${CLOCK}
return { clockMs(), redis.call('GET', KEYS[1]) or '' }`);

/** Whether a plan file was used, and what time it is, Unix milliseconds: by Redis' clock, since hosts may differ. */
export interface PlanUse {
  readonly nowMs: number;
  /** Undefined where no batch did. */
  readonly usedBy: string | undefined;
}

/** @param id - of a plan file; of none, only the time is asked for */
export async function planUse({ redis, keys }: LedgerStore, id = ''): Promise<PlanUse> {
  const [nowMs, usedBy] = await useScript(redis, [keys.usedPlan(id)], []);
  return { nowMs, usedBy: usedBy === '' ? undefined : usedBy };
}
