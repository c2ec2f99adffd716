import type { Redis } from 'ioredis';
import { script } from '../runtime/redis/script.ts';
import { DIRECT_PREFIX, type Ledger } from './ledger.ts';

/** `refused`: it has items pending, or it is a direct batch, which goes on for ever. `has-letters`: nobody has dealt with its dead letters. */
export type Forgotten = 'forgotten' | 'refused' | 'has-letters' | 'no-batch';

/** KEYS batches record dead others...; ARGV batch. One step, so that no dead letter is retried in between. */
const FORGET = `local f = redis.call('HMGET', KEYS[2], 'state', 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled')
if not f[1] then return 'no-batch' end
local pending = (f[2] or 0) - (f[3] or 0) - (f[4] or 0) - (f[5] or 0) - (f[6] or 0)
if pending > 0 or (f[1] ~= 'completed' and f[1] ~= 'cancelled') then return 'refused' end
if redis.call('HLEN', KEYS[3]) > 0 then return 'has-letters' end
redis.call('ZREM', KEYS[1], ARGV[1])
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 'forgotten'`;

const forgetScript = script<Forgotten>(FORGET);

/** Takes a finished batch out of Redis, its report included. */
export async function forgetBatch(redis: Redis, ledger: Ledger, batch: string): Promise<Forgotten> {
  if (batch.startsWith(DIRECT_PREFIX)) return 'refused';
  const { record, dead, ...others } = ledger.keys.of(batch);
  return forgetScript(redis, [ledger.keys.batches, record, dead, ...Object.values(others)], [batch]);
}
