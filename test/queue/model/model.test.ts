import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OUTCOMES, type Outcome } from '../../../src/core/batch.ts';
import type { FeederDeath } from '../hand-stage.ts';
import { commands } from './commands.ts';
import { expectDrained } from './drain.ts';
import { OPENINGS, openStage } from './open-stage.ts';

const { MODEL_RUNS = '20', MODEL_SEED, MODEL_PATH, MODEL_REPLAY, MODEL_LANES = '4' } = process.env;
const RUNS = Number(MODEL_RUNS);
const MANY_RUNS = 150;
const USUAL: readonly Outcome[] = ['revoked', 'already-gone', 'dead', 'cancelled'];
/** Scripts that are played side by side, each on keys of its own: most of their time they wait for Redis. */
const LANES = MODEL_PATH === undefined ? Number(MODEL_LANES) : 1;
/** Far more than the runs need; it ends the search for a shorter script that fails. */
const LIMIT_MS = 60_000 + RUNS * 5_000;
/** Of a run that failed: its seed, path and replayPath, as they were printed. */
const REPLAY = {
  run: {
    ...(MODEL_PATH !== undefined && { path: MODEL_PATH }),
  },
  script: { ...(MODEL_REPLAY !== undefined && { replayPath: MODEL_REPLAY }) },
};

it(
  'does with every item what the model says, whatever comes between, and ends each in one outcome that is true',
  async () => {
    const ends = new Set<string>();
    let ran = 0;
    const firstDeaths = fc.constantFrom<(FeederDeath | undefined)[]>(undefined, undefined, 'between', 'after');
    // With few stalls BullMQ gives jobs up; with many, blocks go on one item at a time.
    const stalls = fc.constantFrom(1, 5);
    const lowWater = fc.constantFrom(3, 8, 20);
    const scripts = fc.commands([commands()], { maxCommands: 40, size: 'max', ...REPLAY.script });
    const cloud = fc.tuple(fc.constantFrom(...OPENINGS), fc.boolean());
    const property = fc.asyncProperty(
      cloud,
      firstDeaths,
      stalls,
      lowWater,
      scripts,
      async (of, death, most, mark, script) => {
        const { model, real } = await openStage(...of, most, mark, death);
        try {
          await fc.asyncModelRun(() => ({ model, real }), script);
          await expectDrained(model, real);
          for (const { items } of model.batches) for (const item of items) ends.add(item);
          ran += 1;
        } finally {
          await real.room.close();
        }
      },
    );
    const seed = MODEL_SEED === undefined ? Math.floor(Math.random() * 1e9) : Number(MODEL_SEED);
    const lanes = Array.from({ length: LANES }, async (_, lane) =>
      fc.assert(property, {
        seed: seed + lane,
        numRuns: Math.ceil(RUNS / LANES),
        interruptAfterTimeLimit: LIMIT_MS,
        ...REPLAY.run,
      }),
    );
    for (const lane of await Promise.allSettled(lanes)) if (lane.status === 'rejected') throw lane.reason;
    // A limit of time would pass for success.
    expect(ran).toBeGreaterThanOrEqual(MODEL_PATH === undefined ? RUNS : 1);
    // Many scripts together meet every outcome, few the usual ones.
    const met = MODEL_PATH !== undefined ? [] : RUNS >= MANY_RUNS ? OUTCOMES : USUAL;
    expect([...ends]).toEqual(expect.arrayContaining([...met]));
  },
  LIMIT_MS + 30_000,
);
