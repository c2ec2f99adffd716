import type { Redis } from 'ioredis';
import { script } from '../../runtime/redis/script.ts';
import { accountKey, egressKey } from '../contract.ts';
import { readLua, SERVER_TIME } from './clock-script.ts';

/** How fast an account or an egress address may go at present. */
export interface Pace {
  /** The strictest configuration of late, calls a second. */
  readonly qps: number;
  /** Share of it in use: below 1 after throttling answers. */
  readonly factor: number;
  /** Stopped by a throttling answer for so long, milliseconds. */
  readonly heldForMs: number;
  /** Slots given since the clock began; two readings make a rate. */
  readonly given: number;
}

const read = script<[qps: string, factor: string, heldForMs: number, given: string] | null>(readLua(SERVER_TIME));

/** For a status page; undefined where nothing was called for a day. */
export async function readPace(
  redis: Redis,
  prefix: string,
  of: { readonly account: string } | { readonly egress: string },
): Promise<Pace | undefined> {
  const reply = await read(
    redis,
    ['account' in of ? accountKey(prefix, of.account) : egressKey(prefix, of.egress)],
    [],
  );
  if (reply === null) return undefined;
  const [qps, factor, heldForMs, given] = reply;
  return { qps: Number(qps), factor: Number(factor), heldForMs, given: Number(given) };
}
