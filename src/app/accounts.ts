import { accountOfDirect, isDirectBatch } from '../ledger/direct-items.ts';
import type { Lane } from '../ledger/lanes.ts';
import { unfedAccounts } from '../queue/feeding-lease.ts';
import { accountOf, missingCredentials, type AccountConfig, type Config } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
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

/** The accounts that a batch touches. An instance that no account has is listed by its own id, so that it belongs to nobody. */
export async function accountsOfBatch({ config, ledger }: Store, batch: string): Promise<ReadonlySet<string>> {
  if (isDirectBatch(batch)) return new Set([accountOfDirect(batch)]);
  const ownerOf = ownerIn(config);
  const lanes = await ledger.lanes.of(batch);
  return new Set(lanes.map(({ instanceId }) => ownerOf(instanceId) ?? `of ${instanceId}`));
}

/** Those of the accounts that no worker works for. */
export async function unattended({ redis, prefix }: Store, accounts: ReadonlySet<string>): Promise<string[]> {
  return unfedAccounts(redis, prefix, [...accounts]);
}

/** Those of the accounts of a batch that no worker works for. */
export async function unattendedOf(store: Store, batch: string): Promise<string[]> {
  return unattended(store, ownersOf(store.config, await store.ledger.lanes.of(batch)));
}

/** Why an instance cannot be asked about. */
export type OutOfReach =
  | { readonly kind: 'no-account'; readonly instanceId: string }
  /** @property variable - is not set, and the account has its key from it */
  | { readonly kind: 'no-key'; readonly account: string; readonly variable: string };

/** The account to ask about an instance. */
export function reachOf(
  config: Config,
  instanceId: string,
): { readonly kind: 'reach'; readonly account: AccountConfig } | OutOfReach {
  const account = accountOf(config, instanceId);
  if (account === undefined) return { kind: 'no-account', instanceId };
  const [variable] = missingCredentials(account, environment);
  return variable === undefined ? { kind: 'reach', account } : { kind: 'no-key', account: account.name, variable };
}
