import type { Lane } from '../ledger/ledger.ts';
import { unfedAccounts } from '../queue/feeding.ts';
import { accountOf, type Config } from '../runtime/config/config.ts';
import type { Store } from './session.ts';

/** The accounts that have items of a batch; only this configuration's are known. */
export function ownersOf(config: Config, lanes: readonly Lane[]): ReadonlySet<string> {
  return new Set(lanes.flatMap(({ instanceId }) => accountOf(config, instanceId)?.name ?? []));
}

/** A line for each of the accounts that has no worker. */
export async function unattended({ redis, prefix }: Store, accounts: ReadonlySet<string>): Promise<string[]> {
  const unfed = await unfedAccounts(redis, prefix, [...accounts]);
  return unfed.map(
    (account) => `No worker of account ${account} is to be seen: nothing of it is revoked until certsweep worker runs.`,
  );
}
