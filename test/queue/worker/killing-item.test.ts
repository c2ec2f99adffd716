import { afterEach, beforeEach, expect, it } from 'vitest';
import { MAX_CRASHES } from '../../../src/ledger/call-notes.ts';
import { certificatesOf } from '../feed/feed-stage.ts';
import { StepStage } from '../step-stage.ts';
import { World } from '../world.ts';

const ITEMS = certificatesOf(8);
const KILLER = 3;
let stage: StepStage;
beforeEach(() => {
  stage = new StepStage(new World(ITEMS.map(({ deviceSn }) => deviceSn)));
});
afterEach(() => stage.close());

it('that kills each worker which calls for it ends as one dead letter, and the others of its block end well', async () => {
  const batch = await stage.batchOf(ITEMS);
  await stage.feed();
  const stopFor = ITEMS[KILLER]?.deviceSn ?? '';
  let deaths = 0;
  for (; deaths <= MAX_CRASHES + 1; deaths += 1) {
    const taken = await stage.takeIfAny([], 'sent', { stopFor });
    if (taken?.isStopped !== true) break;
    await stage.loseLock(taken.id);
  }
  expect(deaths).toBe(MAX_CRASHES);
  const rows = (await stage.rows(batch)).toSorted((a, b) => a.ordinal - b.ordinal);
  const codes = rows.map(({ outcome, code }) => (outcome === 'dead' ? code : outcome));
  expect(codes).toEqual(ITEMS.map((_, n) => (n === KILLER ? 'stalled-too-often' : 'revoked')));
  // Three times it took the others with it, at most; then they went one by one.
  for (const [n, { deviceSn }] of ITEMS.entries()) {
    const calls = stage.world.calls.filter((call) => call === deviceSn).length;
    expect(calls).toBeLessThanOrEqual(n === KILLER ? 0 : 4);
  }
  const letter = await stage.redis.hget(stage.ledger.keys.of(batch).dead, String(KILLER));
  expect(letter).toContain('"effectUnknown":true');
  expect(await stage.batch(batch)).toMatchObject({ state: 'completed', counts: { revoked: 7, dead: 1 } });
  expect([await stage.jobIds(), await stage.parked(batch)]).toEqual([[], []]);
});

it('in a block beyond the cursor of its lane waits until the feeder has noted it', async () => {
  const batch = await stage.batchOf(ITEMS);
  await stage.queues.addBlocks([{ batch, instanceId: ITEMS[0]?.instanceId ?? '', from: 0, to: 8 }], 'bulk');
  for (let look = 0; look < 2; look += 1) {
    await stage.take();
    expect(stage.world.calls).toEqual([]);
    expect(await stage.jobIds()).toHaveLength(1);
  }
  // The same block: none is added beside it.
  await stage.feed();
  expect(await stage.jobIds()).toHaveLength(1);
  await stage.take();
  expect(await stage.batch(batch)).toMatchObject({ state: 'completed', counts: { revoked: 8 } });
  expect(stage.world.calls).toHaveLength(8);
});
