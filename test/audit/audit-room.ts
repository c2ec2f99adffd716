import { auditKeys, type AuditEntry } from '../../src/audit/entry.ts';
import { entryOf, storedEntries, verifyChain, type ChainVerdict, type StoredEntry } from '../../src/audit/chain.ts';
import { auditNote, type Deed } from '../../src/audit/note.ts';
import { AUDIT } from '../../src/audit/record.lua.ts';
import { script } from '../../src/runtime/redis/script.ts';
import { testRedis } from '../support/redis.ts';

const write = script<string>(`${AUDIT}
local note = auditNote(ARGV[1])
local earlier = auditedBefore(KEYS[1], note)
if earlier then return 'earlier ' .. earlier.seq end
audit(KEYS[1], KEYS[2], note, auditCounts(KEYS[3]))
return 'written'`);

/** A record that nobody else has. */
export class AuditRoom {
  readonly redis = testRedis();
  readonly client = this.redis.client;
  readonly keys = auditKeys(this.redis.prefix);

  write(deed: Deed, note = auditNote(deed)): Promise<string> {
    return write(this.client, [this.keys.stream, this.keys.head, `${this.redis.prefix}:record`], [note]);
  }

  async stored(): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    for await (const entry of storedEntries(this.client, this.keys)) found.push(entry);
    return found;
  }

  async entries(): Promise<(AuditEntry | undefined)[]> {
    return (await this.stored()).map(entryOf);
  }

  verify(): Promise<ChainVerdict> {
    return verifyChain(this.client, this.keys);
  }

  /** Writes the stream again as somebody would who edits it. */
  async rewrite(change: (entries: StoredEntry[]) => StoredEntry[]): Promise<void> {
    const entries = change(await this.stored());
    await this.client.del(this.keys.stream);
    for (const { id, text, hash, op } of entries) {
      await this.client.xadd(this.keys.stream, id, 'entry', text, 'hash', hash, 'op', op);
    }
  }
}
