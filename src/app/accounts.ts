import type { Lane } from '../ledger/lanes.ts';
import { unfedAccounts } from '../queue/feeding-lease.ts';
import { accountOf, type Config } from '../runtime/config/config.ts';
import type { Store } from './store.ts';

/** Names the account that has an instance; undefined where none has. */
export function ownerIn(config: Config): (instanceId: string) => string | undefined {
  return (instanceId) => accountOf(config, instanceId)?.name;
}

/** The accounts that have items in the lanes of a batch; only this configuration's are known. */
export function ownersOf(config: Config, lanes: readonly Lane[]): ReadonlySet<string> {
  const ownerOf = ownerIn(config);
  return new Set(lanes.flatMap(({ instanceId }) => ownerOf(instanceId) ?? []));
}

/** Those of the accounts that no worker works for. */
export async function unattended({ redis, prefix }: Store, accounts: ReadonlySet<string>): Promise<string[]> {
  return unfedAccounts(redis, prefix, [...accounts]);
}

/** Those of the accounts of a batch that no worker works for. */
export async function unattendedOf(store: Store, batch: string): Promise<string[]> {
  return unattended(store, ownersOf(store.config, await store.ledger.lanes.of(batch)));
}
