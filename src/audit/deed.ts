import type { Redis } from 'ioredis';
import { script } from '../runtime/redis/script.ts';
import type { AuditKeys } from './entry.ts';
import { auditNote, type Deed } from './note.ts';
import { AUDIT } from './record.lua.ts';

const record = script<number>(`local stream, head = unpack(KEYS)
${AUDIT}
local note = auditNote(ARGV[1])
if auditedBefore(stream, note) then return 0 end
audit(stream, head, note, ARGV[2] ~= '' and ARGV[2] or nil)
return 1`);

/** Puts on record what happens outside of Redis, so that no script can make the change and its entry in one step. */
export async function recordDeed(
  redis: Redis,
  keys: AuditKeys,
  deed: Deed,
  counts?: Readonly<Record<string, number>>,
): Promise<void> {
  const args = [auditNote(deed), counts === undefined ? '' : JSON.stringify(counts)];
  await record(redis, [keys.stream, keys.head], args);
}
