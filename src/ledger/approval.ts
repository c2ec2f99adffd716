import { auditNote, type Motive } from '../audit/note.ts';
import { fateOf } from '../runtime/redis/fate.ts';
import type { Awaiting } from './awaiting.ts';
import { FEED_RANK, type Batch } from './batch-record.ts';
import type { LedgerStore } from './keys.ts';
import { activateScript, activationKeys, type Activated } from './activation.ts';

/** What becomes of a batch that was approved. */
export type Approved = Extract<Activated, { readonly kind: 'running' | 'duplicate' | 'gone' | 'unknown' }>;

/**
 * Makes a batch run that waited for its approval.
 * @throws Redis' error when it certainly does not run
 */
export async function activateAwaiting(
  { redis, keys }: LedgerStore,
  { id: batch, action, priority, retirement }: Batch,
  { fingerprint, certificates, chunks }: Awaiting,
  motive: Motive,
): Promise<Approved> {
  const retire = retirement && { soakMs: retirement.soakMs, deviceDestroyed: retirement.deviceDestroyed };
  const note = auditNote({ event: 'approve', batch, action, ...(retire !== undefined && { retire }), ...motive });
  const unchanged = ['', '', '', '', '', '', ''];
  const args = [batch, fingerprint, certificates, chunks, FEED_RANK[priority], note, ...unchanged];
  const fate = await fateOf(redis, () => activateScript(redis, activationKeys(keys, batch), args));
  if (fate.kind === 'unknown') return { kind: 'unknown', batch, error: fate.error };
  if (fate.kind === 'refused') throw fate.error;
  if (fate.reply === '') return { kind: 'gone' };
  return { kind: fate.reply === batch ? 'running' : 'duplicate', batch: fate.reply };
}
