import { readWorkers } from '../limiter/halts/host-halts.ts';
import type { Store } from './store.ts';

/** A worker process that has said within ten seconds that it works. Times are Redis', Unix milliseconds. */
export interface WorkerSeen {
  readonly host: string;
  readonly pid: number;
  /** When it said so last: each does every second. */
  readonly seenAt: number;
  /** The accounts that it works for. */
  readonly accounts: readonly string[];
  /** What it has stopped for itself alone. */
  readonly halts: readonly {
    readonly account: string;
    readonly code: string;
    readonly message: string;
    readonly since: number;
  }[];
}

/** The workers of this Redis, by host and process. */
export async function listWorkers({ redis, prefix }: Store): Promise<WorkerSeen[]> {
  const workers = await readWorkers(redis, prefix);
  return workers.toSorted((a, b) => (a.host === b.host ? a.pid - b.pid : a.host < b.host ? -1 : 1));
}
