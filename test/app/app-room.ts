import type { Store } from '../../src/app/store.ts';
import type { Outcome } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { FIRST_ATTEMPT } from '../../src/core/decide.ts';
import type { ManifestRow } from '../../src/manifest/row.ts';
import { loadConfig } from '../../src/runtime/config/load-config.ts';
import { LedgerRoom } from '../ledger/ledger-room.ts';

/** A store on a ledger that nobody else has; its account `default` owns `post-cn-a`. */
export class AppRoom extends LedgerRoom {
  /** As after one call of a job. @param code - of a dead one */
  async end(batch: string, n: number, outcome: Outcome, certificate: Certificate, code = 'OK'): Promise<void> {
    const attempt = { ...FIRST_ATTEMPT, calls: 1 };
    const letter = JSON.stringify({ ...certificate, code, message: '', requestId: `R-${n}`, calls: 1, at: 0 }).slice(
      0,
      -1,
    );
    const end = { kind: 'settle', outcome, code, requestId: `R-${n}`, attempt, isUncalled: true } as const;
    const run = { kind: 'job', lockKey: `${this.keys.prefix}:free`, token: 'none' } as const;
    const { instanceId } = certificate;
    const report = { n, instanceId, run, end: outcome === 'dead' ? { ...end, letter } : end };
    const { replies } = await this.ledger.items.report(batch, [report]);
    if (replies[0] !== 'settled') throw new Error(`item ${n} is ${replies[0] ?? 'not answered'}`);
  }

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
