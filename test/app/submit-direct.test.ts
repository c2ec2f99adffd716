import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DirectSubmitter, HourlyLimitReached } from '../../src/app/submit-direct.ts';
import type { Store } from '../../src/app/store.ts';
import { AuditFile, AuditFileUnavailable } from '../../src/audit/own-file.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { certificatesOf } from '../ledger/ledger-room.ts';
import { AppRoom } from './app-room.ts';

const room = new AppRoom();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-direct-'));
});
afterAll(async () => {
  await room.cleanup();
  await rm(folder, { recursive: true, force: true });
});

/** With an audit file, and an account that takes so many an hour. */
async function openWith(file: string, maxPerHour: number): Promise<Store> {
  const store = await room.store();
  const accounts = store.config.accounts.map((account) => ({ ...account, direct: { ...account.direct, maxPerHour } }));
  const auditFile = new AuditFile(file, room.redis, room.ledger.keys.audit);
  return { ...store, config: { ...store.config, accounts }, auditFile };
}

it('has the pause by the hourly limit in the audit file of the process that paused', async () => {
  const file = join(folder, 'audit.jsonl');
  const store = await openWith(file, 2);
  const direct = new DirectSubmitter(store);
  const submit = (certificate: Certificate) => direct.submit({ ok: true, line: 1, certificate }, 'bulk');
  const items = certificatesOf(4);
  for (const item of items.slice(0, 2)) expect(await submit(item)).toMatchObject({ kind: 'running' });
  for (const item of items.slice(2)) await expect(submit(item)).rejects.toThrow(HourlyLimitReached);
  await direct.close();
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { event: 'limit-pause', batch: 'direct-default', counts: { accepted: 2 } },
  ]);
});

it('takes nothing in where the audit file cannot be appended to', async () => {
  const store = await openWith(join(folder, 'none', 'audit.jsonl'), 10);
  const before = (await room.batch('direct-default')).counts;
  const direct = new DirectSubmitter(store);
  const [certificate] = certificatesOf(1);
  if (certificate === undefined) throw new Error('there is no item');
  await expect(direct.submit({ ok: true, line: 1, certificate }, 'bulk')).rejects.toThrow(AuditFileUnavailable);
  await direct.close();
  expect((await room.batch('direct-default')).counts).toEqual(before);
});
