import { describeRedisError } from '../runtime/redis/describe-error.ts';

/** What one check found. Names and shape are what `certsweep doctor --json` prints; other programs depend on them. */
export interface Check {
  /** What was checked: `redis`, `credentials` and so on; several checks may have one name. */
  readonly name: CheckName;
  readonly state: 'ok' | 'warn' | 'fail';
  /** For a person, without secrets. */
  readonly found: string;
  /** The next step; there whenever `state` is not `ok`. */
  readonly fix?: string;
}

export type CheckName =
  | 'configuration'
  | 'encryption'
  | 'disk'
  | 'redis'
  | 'redis clock'
  | 'endpoint'
  | 'endpoint clock'
  | 'credentials'
  | 'permissions'
  | 'account quota'
  | 'egress quota'
  | 'halts'
  | 'batches';

export function ok(name: CheckName, found: string): Check {
  return { name, state: 'ok', found };
}

export function warn(name: CheckName, found: string, fix: string): Check {
  return { name, state: 'warn', found, fix };
}

export function fail(name: CheckName, found: string, fix: string): Check {
  return { name, state: 'fail', found, fix };
}

/** The checks, or one that says why they could not be made: whatever fails, those that follow are made anyway. */
export async function attempt(name: CheckName, check: () => Promise<Check | readonly Check[]>): Promise<Check[]> {
  try {
    return [await check()].flat();
  } catch (error) {
    return [fail(name, `cannot be checked: ${describeRedisError(error)}`, 'fix Redis first, then run this again')];
  }
}
