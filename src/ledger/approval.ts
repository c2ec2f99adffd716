import { auditNote, type Motive } from '../audit/note.ts';
import { resultOf } from '../runtime/redis/command-result.ts';
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
  const result = await resultOf(redis, () => activateScript(redis, activationKeys(keys, batch), args));
  if (result.kind === 'unknown') return { kind: 'unknown', batch, error: result.error };
  if (result.kind === 'refused') throw result.error;
  if (result.reply === '') return { kind: 'gone' };
  return { kind: result.reply === batch ? 'running' : 'duplicate', batch: result.reply };
}
