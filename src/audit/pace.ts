import type { Redis } from 'ioredis';
import { script } from '../runtime/redis/script.ts';
import type { AuditKeys } from './entry.ts';
import { auditNote } from './note.ts';
import { AUDIT } from './record.lua.ts';

/** How fast a worker may call an account. */
export interface RecordedPace {
  readonly account: string;
  /** Calls a second to the account, over all workers. */
  readonly qps: number;
  readonly egress: { readonly id: string; readonly qps: number };
}

const record = script<number>(`local stream, head, paces = unpack(KEYS)
local account, pace, counts = ARGV[1], ARGV[2], ARGV[3]
${AUDIT}
if redis.call('HGET', paces, account) == pace then return 0 end
redis.call('HSET', paces, account, pace)
audit(stream, head, auditNote(ARGV[4]), counts)
return 1`);

/**
 * Puts a pace on record where it is another one than the last recorded of the account.
 * @returns whether it was another one
 */
export async function recordPace(redis: Redis, keys: AuditKeys, pace: RecordedPace): Promise<boolean> {
  const { account, qps, egress } = pace;
  const reason = `account ${account}: ${qps} calls a second; source address ${egress.id}: ${egress.qps}`;
  const counts = JSON.stringify({ qps, egressQps: egress.qps });
  const args = [account, JSON.stringify([qps, egress.id, egress.qps]), counts, auditNote({ event: 'pace', reason })];
  return (await record(redis, [keys.stream, keys.head, keys.paces], args)) === 1;
}
