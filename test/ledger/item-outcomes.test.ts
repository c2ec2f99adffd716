import { afterAll, expect, it } from 'vitest';
import { outcomesOfItems } from '../../src/ledger/item-outcomes.ts';
import { ReportNotWhole } from '../../src/ledger/report.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const ends = async (batch: string, ...ordinals: number[]): Promise<(readonly [number, string, string])[]> =>
  [...(await outcomesOfItems(room.ledger, batch, ordinals))]
    .map(([n, { outcome, requestId }]) => [n, outcome, requestId] as const)
    .toSorted(([a], [b]) => a - b);

it('says how items ended as the report does, over many pages, with entries of one item and of several', async () => {
  const batch = await room.batchOf(certificatesOf(1_500));
  await Promise.all(Array.from({ length: 700 }, (_, n) => room.settle(batch, n, 'revoked')));
  // The text of a request id that looks like another item.
  await room.settle(batch, 700, 'revoked', { requestId: '[3,' });
  for (let from = 701; from < 1_400; from += 100) {
    const rows = Array.from({ length: 100 }, (_, at) => room.settlement(from + at, 'already-gone'));
    await room.report(batch, ...rows);
  }
  const asked = [0, 3, 30, 699, 700, 701, 1_400, 1_450];
  const rows = (await room.rows(batch)).filter(({ ordinal }) => asked.includes(ordinal));
  expect(await ends(batch, ...asked)).toEqual(
    rows.map(({ ordinal, outcome, requestId }) => [ordinal, outcome, requestId] as const).toSorted(([a], [b]) => a - b),
  );
  expect((await ends(batch, ...asked)).map(([n]) => n)).toEqual([0, 3, 30, 699, 700, 701, 1_400]);
});

it('takes the last end of an item that was retried, and none while it is retried', async () => {
  const batch = await room.batchOf(certificatesOf(3));
  await room.settle(batch, 0, 'dead', { requestId: 'R-first' });
  expect(await ends(batch, 0)).toEqual([[0, 'dead', 'R-first']]);
  await room.ledger.deadLetters.reopen(batch, [0]);
  expect(await ends(batch, 0, 1)).toEqual([]);
  const runOf = await room.claimRuns(batch);
  await room.settle(batch, 0, 'dead', { run: runOf(0), requestId: 'R-second' });
  await room.ledger.deadLetters.discard(batch, [0]);
  expect(await ends(batch, 0)).toEqual([[0, 'dead', 'R-second']]);
});

it('says so where the ledger does not have the end of an item that is settled', async () => {
  const batch = await room.batchOf(certificatesOf(2));
  await room.settle(batch, 0, 'revoked');
  await room.redis.del(room.ledger.keys.of(batch).ledger);
  await expect(ends(batch, 0)).rejects.toThrow(ReportNotWhole);
  await expect(ends(batch, 0)).rejects.toThrow(/how its items 0 ended/);
});
