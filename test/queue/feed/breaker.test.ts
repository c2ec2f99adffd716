import { expect, it } from 'vitest';
import { DEFAULT_BREAKER, type Counts } from '../../../src/core/batch.ts';
import type { Batch } from '../../../src/ledger/batch-record.ts';
import { judgeBatch, pauseReason } from '../../../src/queue/feed/breaker.ts';

const NONE: Counts = { accepted: 1_000, revoked: 0, alreadyGone: 0, dead: 0, cancelled: 0 };

function batch(id: string, counts: Counts, resumedAt?: Counts): Batch {
  const known = {
    action: 'delete',
    state: 'running',
    confirmedByAbsence: 0,
    forgotten: 0,
    priority: 'bulk',
    submittedAt: 0,
    resumes: 0,
    layout: 3,
  } as const;
  return { id, ...known, counts, fed: 1_000, ...(resumedAt !== undefined && { resumedAt }) };
}

it('pauses a submitted batch of which too much is dead, and says what to do', () => {
  const verdict = judgeBatch(batch('20261124-1', { ...NONE, revoked: 300, dead: 100 }), DEFAULT_BREAKER);
  expect(verdict).toEqual({ kind: 'pause', settled: 400, dead: 100 });
  if (verdict.kind !== 'pause') throw new Error('not paused');
  expect(pauseReason('20261124-1', verdict)).toBe(
    '100 of 400 settled items are dead (25%): see certsweep dead list --batch 20261124-1, then certsweep resume 20261124-1',
  );
});

it('counts again from where an operator resumed it', () => {
  const counts = { ...NONE, revoked: 300, dead: 100 };
  expect(judgeBatch(batch('20261124-1', counts, counts), DEFAULT_BREAKER).kind).toBe('feed');
  const after = { ...counts, revoked: 390, dead: 110 };
  expect(judgeBatch(batch('20261124-1', after, counts), DEFAULT_BREAKER)).toEqual({
    kind: 'pause',
    settled: 100,
    dead: 10,
  });
});

it('never pauses a direct batch: the bad jobs of one producer hold up nobody else', () => {
  const verdict = judgeBatch(batch('direct-fleet', { ...NONE, dead: 1_000 }), DEFAULT_BREAKER);
  expect(verdict).toEqual({ kind: 'feed', upTo: Number.POSITIVE_INFINITY });
});
