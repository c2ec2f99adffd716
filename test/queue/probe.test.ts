import { afterEach, beforeEach, expect, it } from 'vitest';
import { certificatesOf } from './feeder-stage.ts';
import { HandStage } from './hand-stage.ts';
import { World, type AnswerKind } from './hand.ts';

const items = certificatesOf(1);
let stage: HandStage;
let batch: string;
beforeEach(async () => {
  stage = new HandStage(new World(items.map(({ deviceSn }) => deviceSn)));
  stage.world.isHalted = true;
  batch = await stage.batchOf(items);
  await stage.feeder({ lowWater: 8 }).feeder.feed();
});
afterEach(() => stage.close());

it.each(['pause', 'cancel'] as const)(
  'is given back where the batch had a %s while it waited for its slot',
  async (change) => {
    const { process } = await stage.take([], 'slot', 'probe');
    await stage.ledger.change(batch, change);
    await stage.goOn(process);
    expect(stage.world.calls).toEqual([]);
    expect(stage.world.probesAgain).toBe(1);
  },
);

it('is given back where its job has gone to another process', async () => {
  const { id, process } = await stage.take([], 'slot', 'probe');
  await stage.loseLock(id);
  await stage.goOn(process);
  expect(stage.world.calls).toEqual([]);
  expect(stage.world.probesAgain).toBe(1);
});

it.each(['void', 'old-token', 'nonce'] as const)(
  'is made again at once where it ended in: %s',
  async (answer: AnswerKind) => {
    await stage.take([answer, 'honest'], undefined, 'probe');
    expect(stage.world.probesAgain).toBe(1);
    expect(stage.world.isHalted).toBe(false);
    expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1 });
  },
);

it.each(['busy', 'throttled', 'lost-before', 'unreachable'] as const)(
  'is spent where it ended in: %s',
  async (answer: AnswerKind) => {
    await stage.take([answer], undefined, 'probe');
    expect(stage.world.probesAgain).toBe(0);
    expect(stage.world.isHalted).toBe(true);
  },
);
