import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBlock, type Block } from '../../../src/queue/contract.ts';
import { BLOCK_ITEMS } from '../../../src/queue/feed/lane-page.ts';
import { certificatesOf, FeedStage, INSTANCES } from './feed-stage.ts';

let stage: FeedStage;
beforeEach(() => {
  stage = new FeedStage();
});
afterEach(() => stage.close());

const range = (to: number, from = 0): number[] => Array.from({ length: to - from }, (_, at) => from + at);

describe('blocks', () => {
  const blocksOf = async (batch: string): Promise<readonly Block[]> => {
    const blocks = (await stage.jobs()).flatMap(({ data }) => parseBlock(data) ?? []);
    return blocks.filter((block) => block.batch === batch).toSorted((a, b) => a.from - b.from);
  };

  it('hold a few items of one lane within one chunk each, and all of them together every item once', async () => {
    const items = certificatesOf(2_130, INSTANCES);
    const batch = await stage.withoutRamp(await stage.batchOf(items));
    await stage.feeder({ lowWater: 5_000 }).feeder.feed();
    const blocks = await blocksOf(batch);
    for (const { instanceId, from, to } of blocks) {
      expect(Math.floor(from / 1_000)).toBe(Math.floor((to - 1) / 1_000));
      const ofLane = items.slice(from, to).filter((item) => item.instanceId === instanceId);
      expect(ofLane.length).toBeGreaterThan(0);
      expect(ofLane.length).toBeLessThanOrEqual(BLOCK_ITEMS);
    }
    expect(blocks.length).toBeLessThanOrEqual(2_130 / BLOCK_ITEMS + 2 * 3);
    expect(await stage.ordinals(batch)).toEqual(range(2_130));
  });

  it('are not made of items that have ended', async () => {
    const batch = await stage.withoutRamp(await stage.batchOf(certificatesOf(150)));
    const settled = range(50, 40);
    for (const n of [...settled, ...range(100, 50)])
      await stage.redis.setbit(stage.ledger.keys.of(batch).settled, n, 1);
    expect(await stage.feeder({ lowWater: 1_000 }).feeder.feed()).toBe(150);
    expect((await blocksOf(batch)).map(({ from }) => from)).toEqual([0, 100]);
    expect(await stage.ordinals(batch)).toEqual([...range(40), ...range(150, 100)]);
  });
});
