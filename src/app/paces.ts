import type { Stop } from '../limiter/contract.ts';
import { allHalts, type AnyHalt } from '../limiter/halts/host-halts.ts';
import { readStop } from '../limiter/halts/stop.ts';
import type { LoweredPace } from '../limiter/pace/lowered-pace.ts';
import { readPace, type Pace } from '../limiter/pace/read-pace.ts';
import { readSamples } from '../limiter/pace/samples.ts';
import { unattended } from './accounts.ts';
import type { Store } from './store.ts';

/** An account as `pace --json` prints it; other programs depend on its names. */
export interface AccountPace {
  readonly account: string;
  /** Calls a second that this configuration allows, over all workers. */
  readonly configuredQps: number;
  /** Calls a second that workers may make now: less while it is lowered or after throttling answers, 0 while it is stopped, halted or held. */
  readonly inForceQps: number;
  /** Slots given a second, over the last ten seconds that a worker has measured; null where none has of late. */
  readonly usedQps: number | null;
  /** By an operator, for a time. */
  readonly lowered: LoweredPace | null;
  /** Share of the pace that throttling answers have left; 1 without any. */
  readonly factor: number;
  /** How long a throttling answer still stops it, milliseconds. */
  readonly heldForMs: number;
  readonly halts: readonly AnyHalt[];
  /** A worker works for it. */
  readonly isAttended: boolean;
}

export interface AccountsOverview {
  /** Null while calls may be made. */
  readonly stopped: Stop | null;
  readonly accounts: readonly AccountPace[];
}

/** The accounts of the configuration, each with its pace and what stands in its way. */
export async function accountsOverview(store: Store): Promise<AccountsOverview> {
  const { config, redis, prefix } = store;
  const names = new Set(config.accounts.map(({ name }) => name));
  const [stop, halts, unfed] = await Promise.all([
    readStop(redis, prefix),
    allHalts(redis, prefix),
    unattended(store, names),
  ]);
  const accounts = config.accounts.map(async ({ name, qps }): Promise<AccountPace> => {
    const [pace, [sample]] = await Promise.all([
      readPace(redis, prefix, { account: name }),
      readSamples(redis, prefix, { account: name }, 1),
    ]);
    const own = halts.filter(({ account }) => account === name);
    const isStill = stop !== undefined || own.some((halt) => halt.instanceId === undefined && !('host' in halt));
    const isAttended = !unfed.includes(name);
    return {
      account: name,
      configuredQps: qps,
      inForceQps: isStill ? 0 : inForce(qps, pace),
      // Without a worker nobody takes samples any more.
      usedQps: isAttended ? (sample?.used ?? null) : null,
      lowered: pace?.lowered ?? null,
      factor: pace?.factor ?? 1,
      heldForMs: pace?.heldForMs ?? 0,
      halts: own,
      isAttended,
    };
  });
  return { stopped: stop ?? null, accounts: await Promise.all(accounts) };
}

function inForce(configuredQps: number, pace: Pace | undefined): number {
  if (pace === undefined) return configuredQps;
  if (pace.heldForMs > 0) return 0;
  const qps = Math.min(configuredQps, pace.lowered?.qps ?? configuredQps);
  return Math.round(qps * pace.factor * 10) / 10;
}
