import { expect, it } from 'vitest';
import { seededRandom } from '../../../src/sandbox/seeded.ts';
import { passMonth } from '../../schedule/month.ts';
import { certificates, openFleet } from '../../support/fleet.ts';
import { INSTANCE } from '../../support/installation.ts';

it('a month of minutes with two hosts that are killed 200 times around the due second has one batch for each occurrence', async () => {
  const { kills, occurrences } = await passMonth({ days: 30, everyHours: 3, kills: 200, random: seededRandom(5) });
  expect(occurrences).toBe(240);
  expect(kills).toBeGreaterThanOrEqual(190);
}, 600_000);

it('workers that are killed around each due minute give each occurrence one batch at most, and lose none that is due again', async () => {
  const minutes = 3;
  const all = certificates(minutes + 1);
  // Nobody selects it: a listing that is empty would stop the schedule.
  const other = certificates(1, 2).map((one) => ({ ...one, state: 'inactive' as const }));
  const fleet = await openFleet({
    sandbox: { registry: [...other, ...all.slice(0, 1)] },
    settings: {
      limiter: { lateMs: 200 },
      schedules: {
        minutely: {
          cron: '* * * * *',
          instances: [INSTANCE],
          select: { status: 'active' },
          action: 'delete',
          maxShareOfCa: 1,
          execute: true,
        },
      },
    },
  });
  try {
    await fleet.holdRedis();
    const workers = [await fleet.startWorker(), await fleet.startWorker()];
    const firstMs = Math.ceil(Date.now() / 60_000) * 60_000;
    for (let minute = 0; minute < minutes; minute += 1) {
      // Into the run: the ticker looks once a second, and a run takes some seconds.
      await sleepUntil(firstMs + minute * 60_000 + 1_000 + minute * 900);
      const which = minute % 2;
      workers[which]?.kill('SIGKILL');
      await workers[which]?.ended;
      workers[which] = await fleet.startWorker();
      await sleepUntil(firstMs + minute * 60_000 + 45_000);
      const next = all[minute + 1];
      if (next !== undefined) fleet.sandbox.register(next);
    }
    const { stdout } = await fleet.run(['schedule', 'history', '--json']);
    const ends = JSON.parse(stdout) as { occurrence: string; batch: string | null; state: string }[];
    expect(new Set(ends.map(({ occurrence }) => occurrence)).size).toBe(ends.length);
    expect(ends.filter(({ state }) => state === 'failed')).toEqual([]);
    const batches = ends.flatMap(({ batch }) => batch ?? []);
    expect(new Set(batches).size).toBe(batches.length);
    const status = JSON.parse((await fleet.run(['status', '--json'])).stdout) as { batches: { state: string }[] };
    expect(status.batches.filter(({ state }) => state !== 'planned')).toHaveLength(batches.length);
    expect(batches.length).toBeGreaterThanOrEqual(minutes - 1);
    for (const batch of batches) await fleet.settled(batch);
  } finally {
    await fleet.remove();
  }
}, 600_000);

async function sleepUntil(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - Date.now())));
}
