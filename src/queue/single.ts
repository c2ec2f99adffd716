import { createHash } from 'node:crypto';
import type { Certificate } from '../core/certificate.ts';
import type { Priority } from '../ledger/batch-record.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { standingBatchOf } from './item.ts';
import type { RevokeQueue } from './revoke-queue.ts';

/**
 * Hands one certificate to the account's standing batch and its queue. A certificate that is pending there already is not taken twice.
 * The ledger comes first: should the process die before the job is added, the feeder adds it.
 * @returns whether it is new
 */
export async function submitSingle(
  ledger: Ledger,
  queue: RevokeQueue,
  account: string,
  certificate: Certificate,
  priority: Priority,
): Promise<{ readonly batch: string; readonly isNew: boolean }> {
  const batch = standingBatchOf(account);
  const key = keyOf(certificate);
  const { n, isNew } = await ledger.adopt(batch, key, certificate);
  if (isNew) await queue.feed([{ batch, n, certificate, key }], priority);
  return { batch, isNew };
}

/** The same for the same certificate, and no valid one can hold a NUL. */
function keyOf({ instanceId, caSn, deviceSn }: Certificate): string {
  return createHash('sha256').update(`${instanceId}\0${caSn}\0${deviceSn}`).digest('base64url').slice(0, 22);
}
