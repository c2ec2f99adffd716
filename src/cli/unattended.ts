import { unfedAccounts } from '../queue/feeding.ts';
import { accountOf } from '../runtime/config/config.ts';
import type { Store } from './session.ts';

/** A line for each account that has items of the batch and no worker; only this configuration's accounts are known. */
export async function unattended({ config, redis, prefix, ledger }: Store, batch: string): Promise<string[]> {
  const lanes = await ledger.lanes(batch);
  const accounts = new Set(lanes.flatMap(({ instanceId }) => accountOf(config, instanceId)?.name ?? []));
  const unfed = await unfedAccounts(redis, prefix, [...accounts]);
  return unfed.map(
    (account) => `No worker of account ${account} is to be seen: nothing of it is revoked until certsweep worker runs.`,
  );
}
