import type { ManifestSummary } from '../queue/submit/manifest-summary.ts';
import type { Config } from '../runtime/config/config.ts';

/** How long a manifest takes at least, at the pace that is configured. */
export interface Estimate {
  readonly seconds: number;
  /** Calls a second, over all accounts. */
  readonly qps: number;
  /** What sets the pace. */
  readonly bound: 'egress' | 'account';
}

/** One call for each certificate, none of them repeated. */
export function estimate(
  { accepted, instances }: Pick<ManifestSummary, 'accepted' | 'instances'>,
  { accounts, egress }: Config,
): Estimate {
  const byAccount = new Map<string, number>();
  for (const { account, items } of instances) byAccount.set(account, (byAccount.get(account) ?? 0) + items);
  // Accounts work side by side, but share the source address.
  const accountSeconds = [...byAccount].map(
    ([name, items]) => items / (accounts.find((account) => account.name === name)?.qps ?? 1),
  );
  const egressSeconds = accepted / egress.qps;
  const seconds = Math.max(egressSeconds, ...accountSeconds);
  return { seconds, qps: Math.round(accepted / seconds), bound: egressSeconds === seconds ? 'egress' : 'account' };
}
