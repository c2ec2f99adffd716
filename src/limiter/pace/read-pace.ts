import type { Redis } from 'ioredis';
import { script } from '../../runtime/redis/script.ts';
import { accountKey, egressKey, type ClockOf } from '../contract.ts';
import { readLua, SERVER_TIME } from './clock-script.ts';
import type { LoweredPace } from './lowered-pace.ts';

/** How fast an account or an egress address may go at present. */
export interface Pace {
  /** The strictest configuration of late, calls a second. Undefined where nothing was called for a day. */
  readonly qps: number | undefined;
  /** Share of it in use: below 1 after throttling answers. */
  readonly factor: number;
  /** How long a throttling answer still stops it, milliseconds. */
  readonly heldForMs: number;
  /** Slots given since the clock began; two readings make a rate. */
  readonly given: number;
  /** Of an account: what an operator has lowered it to, for a time. */
  readonly lowered: LoweredPace | undefined;
}

const read = script<
  [qps: string, factor: string, heldForMs: number, given: string, lowered: string, untilMs: string] | null
>(readLua(SERVER_TIME));

/** For a status page; undefined where nothing was called for a day, and nothing is lowered. */
export async function readPace(redis: Redis, prefix: string, of: ClockOf): Promise<Pace | undefined> {
  const reply = await read(
    redis,
    ['account' in of ? accountKey(prefix, of.account) : egressKey(prefix, of.egress)],
    [],
  );
  if (reply === null) return undefined;
  const [qps, factor, heldForMs, given, lowered, untilMs] = reply;
  return {
    qps: qps === '' ? undefined : Number(qps),
    factor: Number(factor),
    heldForMs,
    given: Number(given),
    lowered: lowered === '' ? undefined : { qps: Number(lowered), untilMs: Number(untilMs) },
  };
}
