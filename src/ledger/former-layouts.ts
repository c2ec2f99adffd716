import type { Redis } from 'ioredis';
import { script } from '../runtime/redis/script.ts';
import type { Batch } from './batch-record.ts';
import type { DeadLetter } from './dead-letters.ts';
import { DIRECT_PREFIX, type Ledger } from './ledger.ts';
import { ATTEMPTS, CLOCK } from './script-parts.lua.ts';

/** From this layout on, no job stands for a single item of a submitted batch, and what is retried waits in the ledger. */
const WAITING_SINCE = 3;

/**
 * Has a retried dead letter wait that an older version noted for its feeder, unless another process has taken it over, or it was retried again
 * since. Where a job stands for the item all the same, since its feeder died in between, that stands aside for what waits.
 * KEYS reopened settled record attempts notes departed history waiting; ARGV batch n letter. Replies 1, or 0 where there was nothing to do.
 */
const TAKE_OVER_RETRIED = `${ATTEMPTS}
${CLOCK}
local reopened, settled, record, attempts, notes, departed, history, waiting = unpack(KEYS)
local batch, n, letter = unpack(ARGV)
if redis.call('HGET', reopened, n) ~= letter then return 0 end
redis.call('HDEL', reopened, n)
if redis.call('GETBIT', settled, n) == 1 then return 0 end
local known = cjson.decode(letter)
local isNoted = redis.call('HDEL', notes, n) == 1
if not redis.call('HGET', record, 'layout') and redis.call('GETBIT', departed, n) == 1 then
  isNoted = true
  redis.call('SETBIT', departed, n, 0)
end
if redis.call('HEXISTS', attempts, n) == 0 and (known.effectUnknown or isNoted) then
  redis.call('HSET', attempts, n, attemptText({ failures = 0, calls = 0, unknown = true, crashes = 0, run = '' }))
end
-- Layout 2 has written them apart already, the letter's own death among them.
if redis.call('HEXISTS', history, n) == 0 then
  local deaths = known.history
  deaths[#deaths + 1] = { code = known.code, message = known.message, requestId = known.requestId, calls = known.attempts, at = known.at }
  redis.call('HSET', history, n, cjson.encode(deaths))
end
redis.call('ZADD', waiting, 'NX', now, batch .. ' ' .. n)
return 1`;

const takeOverScript = script<number>(TAKE_OVER_RETRIED);
/** Letters read from Redis at once. */
const PAGE = 500;

/**
 * Has the retried dead letters of running batches wait that versions before layout 3 left for their feeders. To be called before a worker takes
 * anything; a second time it finds nothing.
 */
export async function takeOverRetried(redis: Redis, ledger: Ledger): Promise<void> {
  for (const batch of await ledger.activeBatches()) {
    if (isFormer(batch)) await takeOverBatch(redis, ledger, batch.id);
  }
}

/** Whether jobs of a version before layout 3 may stand for items of submitted batches, in the queue of the direct ones. */
export async function mayHaveFormerJobs(ledger: Ledger): Promise<boolean> {
  const active = await ledger.activeBatches();
  return active.some((batch) => isFormer(batch) && !batch.id.startsWith(DIRECT_PREFIX));
}

/** What an older version noted of items that nothing but the ledger tells of: a call of those may have worked. */
export async function takeOverNotes(ledger: Ledger, batch: string, ordinals: readonly number[]): Promise<void> {
  const isNoted = await ledger.notedBefore(batch, ordinals);
  const unknown = { failures: 0, calls: 0, effectUnknown: true };
  for (const [at, n] of ordinals.entries()) if (isNoted[at] === true) await ledger.takeOver(batch, n, unknown, '');
}

function isFormer({ layout }: Batch): boolean {
  return layout < WAITING_SINCE;
}

async function takeOverBatch(redis: Redis, ledger: Ledger, batch: string): Promise<void> {
  const of = ledger.keys.of(batch);
  const pages = redis.hscanStream(of.reopened, { count: PAGE }) as AsyncIterable<string[]>;
  for await (const page of pages) {
    for (let at = 0; at + 1 < page.length; at += 2) {
      const [n = '', letter = ''] = page.slice(at, at + 2);
      const { instanceId } = JSON.parse(letter) as Pick<DeadLetter, 'instanceId'>;
      const about = [of.record, of.attempts, of.notes, of.departed, of.history, ledger.keys.waiting(instanceId)];
      await takeOverScript(redis, [of.reopened, of.settled, ...about], [batch, n, letter]);
    }
  }
}
