import type { Redis } from 'ioredis';
import { entryOf, storedEntries, type StoredEntry } from '../../audit/chain.ts';
import type { AuditKeys } from '../../audit/entry.ts';
import type { EventLog, LogEvent } from '../../runtime/logger.ts';
import { script } from '../../runtime/redis/script.ts';
import { Lease } from '../lease.ts';
import { every, type Repeated } from './repeat.ts';

export interface AuditLogParts {
  readonly redis: Redis;
  readonly prefix: string;
  readonly keys: AuditKeys;
  /** Without it nothing would be kept of what is told, so another process, or a later one, is to tell it. */
  readonly record: EventLog['record'];
  /** Done in each round, with the lease or without. */
  readonly alongside: () => Promise<void>;
}

const POLL_EVERY_MS = 2_000;
/** A dead follower is replaced within this time. */
const LEASE_MS = 5_000;
/** How many entries are logged before that is noted: at most this many are logged twice when a process dies in between. */
const PAGE = 100;

/** Nobody else has moved the mark: else those entries are logged. */
const advance = script<number>(`if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`);

/**
 * Logs each entry of the audit record, in one process of all: the one with the lease. How far the log has come is in Redis, so that the next one goes
 * on from there. An entry is logged before that is noted: twice where a process dies in between, but never not at all.
 */
export function followAudit(parts: AuditLogParts, onError: (error: Error) => void): Repeated {
  const { redis, prefix } = parts;
  const lease = new Lease(redis, `${prefix}:audit:follower`, LEASE_MS);
  const round = async (): Promise<void> => {
    await parts.alongside();
    await logNew(parts, lease);
  };
  const rounds = every(POLL_EVERY_MS, round, onError);
  return {
    soon: () => rounds.soon(),
    async stop() {
      await rounds.stop();
      if (redis.status !== 'ready') return;
      // What was changed while the calls under way ended.
      await round().catch(onError);
      await lease.release().catch(onError);
    },
  };
}

async function logNew({ redis, keys, record }: AuditLogParts, lease: Lease): Promise<void> {
  if (record === undefined || redis.status !== 'ready' || !(await lease.hold())) return;
  for (let isMore = true; isMore;) {
    const logged = (await redis.get(keys.logged)) ?? '';
    const page = await nextPage(redis, keys, logged);
    const last = page.at(-1);
    // Reading took time: another process may have followed meanwhile.
    if (last === undefined || !(await lease.hold())) return;
    for (const stored of page) record(eventOf(stored));
    isMore = (await advance(redis, [keys.logged], [logged, last.id])) === 1 && page.length === PAGE;
  }
}

async function nextPage(redis: Redis, keys: AuditKeys, behind: string): Promise<StoredEntry[]> {
  const page: StoredEntry[] = [];
  for await (const stored of storedEntries(redis, keys, behind === '' ? '-' : `(${behind}`)) {
    page.push(stored);
    if (page.length === PAGE) break;
  }
  return page;
}

function eventOf(stored: StoredEntry): LogEvent {
  const entry = entryOf(stored);
  if (entry === undefined) {
    return { event: 'audit', entry: stored, message: 'an entry of the audit record is not readable' };
  }
  const { event, batch, ca, user, host, requestedBy, reason } = entry;
  const subject = ca === undefined ? '' : ` of CA ${ca.caSn} of ${ca.instanceId}`;
  const what = batch === null ? `${event}${subject}` : `${event} of batch ${batch}`;
  const message = `${what} by ${requestedBy ?? `${user}@${host}`}${reason === null ? '' : `: ${reason}`}`;
  return { event: 'audit', entry, message };
}
