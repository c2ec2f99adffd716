import type { Store } from '../../src/app/store.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { ManifestRow } from '../../src/manifest/row.ts';
import { loadConfig } from '../../src/runtime/config/load-config.ts';
import { LedgerRoom } from '../ledger/ledger-room.ts';

/** A store on a ledger that nobody else has; its account `default` owns `post-cn-a`. */
export class AppRoom extends LedgerRoom {
  async store(): Promise<Store> {
    const environment = { CERTSWEEP_REGION: 'cn-hangzhou', CERTSWEEP_INSTANCES: 'post-cn-a' };
    const config = await loadConfig({ environment });
    return { config, redis: this.redis, ledger: this.ledger, prefix: this.keys.prefix, where: 'the Redis of the test' };
  }
}

/** A manifest of these certificates, and behind them so many bad rows. */
export async function* manifestOf(items: readonly Certificate[], badRows = 0): AsyncGenerator<readonly ManifestRow[]> {
  yield await Promise.resolve(items.map((certificate, at) => ({ ok: true, line: at + 1, certificate })));
  for (let bad = 1; bad <= badRows; bad += 1) yield [{ ok: false, line: items.length + bad, reason: 'broken' }];
}
