import { expect, it } from 'vitest';
import { seededRandom } from '../../src/sandbox/seeded.ts';
import { passMonth } from './month.ts';

// The whole month with its 200 kills is in test/faults/all.
it('gives each occurrence exactly one batch over two days of minutes, while two hosts are killed around the due second', async () => {
  const { kills, occurrences } = await passMonth({ days: 2, everyHours: 2, kills: 24, random: seededRandom(13) });
  expect(occurrences).toBe(24);
  expect(kills).toBeGreaterThan(12);
});
