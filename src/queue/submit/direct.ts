import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Motive } from '../../audit/note.ts';
import type { Certificate } from '../../core/certificate.ts';
import type { Priority } from '../../ledger/batch-record.ts';
import { BeingCancelled, directBatchOf } from '../../ledger/direct-items.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { fateOf } from '../../runtime/redis/fate.ts';
import type { AccountQueues } from '../queues.ts';

/** `accepted`: it is in the ledger, `isNew` unless it was pending there already. `unknown`: Redis did not answer, it may be there. */
export type DirectSubmitted =
  | { readonly kind: 'accepted'; readonly batch: string; readonly isNew: boolean }
  | { readonly kind: 'unknown'; readonly batch: string; readonly error: unknown };

/**
 * Hands one certificate to the account's direct batch and its queue. A certificate that is pending there already is not taken twice.
 * The ledger comes first: where the job is not added, since the process died or Redis did not answer, the feeder has it wait, and it goes on so.
 * @throws Redis' error when it was certainly not taken, and BeingCancelled
 */
export async function submitDirect(
  { redis, ledger }: { readonly redis: Redis; readonly ledger: Pick<Ledger, 'direct'> },
  queues: AccountQueues,
  account: string,
  certificate: Certificate,
  priority: Priority,
  motive: Motive = {},
): Promise<DirectSubmitted> {
  const batch = directBatchOf(account);
  const key = keyOf(certificate);
  const fate = await fateOf(redis, () => ledger.direct.adopt(batch, key, certificate, motive).catch(cancelled));
  if (fate.kind === 'unknown') return { kind: 'unknown', batch, error: fate.error };
  if (fate.kind === 'refused') throw fate.error;
  if (fate.reply instanceof BeingCancelled) throw fate.reply;
  const { n, isNew } = fate.reply;
  // From here on it will be revoked, whatever becomes of the job.
  if (isNew) await queues.addDirect({ batch, n, certificate, key, ...motive }, priority).catch(() => undefined);
  return { kind: 'accepted', batch, isNew };
}

/** An answer, not a lost one. */
function cancelled(error: unknown): BeingCancelled {
  if (error instanceof BeingCancelled) return error;
  throw error;
}

/** The same for the same certificate, and no valid one can hold a NUL. */
function keyOf({ instanceId, caSn, deviceSn }: Certificate): string {
  return createHash('sha256').update(`${instanceId}\0${caSn}\0${deviceSn}`).digest('base64url').slice(0, 22);
}
