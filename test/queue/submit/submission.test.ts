import { afterAll, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { ManifestRow } from '../../../src/manifest/row.ts';
import { ScratchUnavailable } from '../../../src/manifest/scratch-file.ts';
import { batchStatus, statusOf } from '../../../src/app/overview.ts';
import type { Duplicates } from '../../../src/queue/submit/manifest-summary.ts';
import { planManifest, surveyManifest, type Submission } from '../../../src/queue/submit/submission.ts';
import { certificatesOf, LedgerRoom } from '../../ledger/ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const accountOf = (instanceId: string): string | undefined =>
  ({ 'post-cn-a': 'fleet', 'post-cn-b': 'fleet', 'post-cn-c': 'lab' })[instanceId];
const rowsOf = (items: readonly Certificate[]): ManifestRow[] =>
  items.map((certificate, at) => ({ ok: true, line: at + 2, certificate }));

async function* pagesOf(rows: readonly ManifestRow[], failure?: Error): AsyncGenerator<ManifestRow[]> {
  for (let from = 0; from < rows.length; from += 100) yield await Promise.resolve(rows.slice(from, from + 100));
  if (failure !== undefined) throw failure;
}

const plan = (rows: readonly ManifestRow[], failure?: Error, duplicates?: Duplicates): Promise<Submission> => {
  const { ledger } = room;
  return planManifest(pagesOf(rows, failure), accountOf, { ledger }, { priority: 'bulk' }, duplicates);
};

it('counts what is accepted, named twice and rejected, the same for a survey and a plan', async () => {
  const items = certificatesOf(30, ['post-cn-a', 'post-cn-b', 'post-cn-c']);
  const strange = certificatesOf(150, ['post-cn-nobody']);
  const rows = [
    ...rowsOf([...items, ...items.slice(0, 7), ...strange]),
    { ok: false, line: 99, reason: 'broken' } as const,
  ];
  const summary = await surveyManifest(pagesOf(rows), accountOf);
  expect(summary).toMatchObject({ accepted: 30, duplicates: 7, rejected: 151 });
  expect(summary.instances).toEqual([
    { account: 'fleet', instanceId: 'post-cn-a', items: 10 },
    { account: 'fleet', instanceId: 'post-cn-b', items: 10 },
    { account: 'lab', instanceId: 'post-cn-c', items: 10 },
  ]);
  expect(summary.rejections).toHaveLength(100);
  expect(summary.rejections[0]?.reason).toContain('no account of the configuration has the instance "post-cn-nobody"');
  const submission = await plan(rows);
  expect(submission.summary).toEqual(summary);
  expect(await submission.activate()).toEqual({ kind: 'running', batch: submission.batch });
  expect(await room.ledger.items.chunk(submission.batch, 0)).toEqual(items);
  const detail = await batchStatus(room.ledger, submission.batch);
  expect(detail === undefined ? undefined : statusOf(detail)).toEqual({
    batch: submission.batch,
    state: 'running',
    accepted: 30,
    revoked: 0,
    alreadyGone: 0,
    dead: 0,
    cancelled: 0,
    pending: 30,
    forgotten: 0,
    ratePerSecond: 0,
    etaSeconds: null,
    action: 'delete',
  });
});

it('leaves nothing behind when the manifest breaks off, or is discarded', async () => {
  const before = await room.keysWith('');
  const failure = new Error('the file is gone');
  await expect(plan(rowsOf(certificatesOf(2_500)), failure)).rejects.toBe(failure);
  const submission = await plan(rowsOf(certificatesOf(2_500)));
  await submission.discard();
  expect((await room.keysWith('')).toSorted()).toEqual(before.toSorted());
});

it('leaves nothing behind when there is no room to find duplicates in', async () => {
  const before = await room.keysWith('');
  const failure = new ScratchUnavailable('/scratch', new Error('full'));
  let added = 0;
  const full: Duplicates = {
    add() {
      added += 1;
      // Two chunks are written or on their way by then.
      if (added > 2_500) throw failure;
      return true;
    },
    close: () => undefined,
  };
  await expect(plan(rowsOf(certificatesOf(2_600)), undefined, full)).rejects.toBe(failure);
  expect((await room.keysWith('')).toSorted()).toEqual(before.toSorted());
});

it('gives the room back in which it found duplicates, however it ends', async () => {
  let closed = 0;
  const duplicates: Duplicates = { add: () => true, close: () => void (closed += 1) };
  const rows = rowsOf(certificatesOf(3));
  const failure = new Error('the file is gone');
  await surveyManifest(pagesOf(rows), accountOf, duplicates);
  expect(closed).toBe(1);
  await expect(surveyManifest(pagesOf(rows, failure), accountOf, duplicates)).rejects.toBe(failure);
  expect(closed).toBe(2);
  await (await plan(rows, undefined, duplicates)).discard();
  expect(closed).toBe(3);
  await expect(plan(rows, failure, duplicates)).rejects.toBe(failure);
  expect(closed).toBe(4);
});
