import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OUTCOMES } from '../../src/core/batch.ts';
import { submission } from '../ledger/model-commands.ts';
import { certificatesOf } from './feeder-stage.ts';
import { commands, feed, type Real } from './model-commands.ts';
import { expectDrained } from './model-drain.ts';
import { World } from './hand.ts';
import { INSTANCES, HandStage, type FeederDeath } from './hand-stage.ts';
import { QueueModel } from './model.ts';

const { MODEL_RUNS = '20', MODEL_SEED, MODEL_PATH, MODEL_REPLAY } = process.env;
const RUNS = Number(MODEL_RUNS);
/** Far more than the runs need; it ends the search for a shorter script that fails. */
const LIMIT_MS = 60_000 + RUNS * 1_000;
/** Of a run that failed: its seed, path and replayPath, as they were printed. */
const REPLAY = {
  run: {
    ...(MODEL_SEED !== undefined && { seed: Number(MODEL_SEED) }),
    ...(MODEL_PATH !== undefined && { path: MODEL_PATH }),
  },
  script: { ...(MODEL_REPLAY !== undefined && { replayPath: MODEL_REPLAY }) },
};

/** Two fleets that share certificates, some of which nobody ever registered; more than the first step of the ramp. */
function openStage(): { model: QueueModel; real: Real } {
  const fleet = certificatesOf(16, INSTANCES);
  const manifests = [fleet.slice(0, 12), fleet.slice(9, 15)];
  const others = fleet.slice(13);
  const registered = fleet.filter((_, n) => n % 5 !== 4).map(({ deviceSn }) => deviceSn);
  const stage = new HandStage(new World(registered));
  const real: Real = { room: stage, manifests, standing: stage.standing, others };
  return { model: new QueueModel(manifests, registered), real };
}

it(
  'does with every item what the model says, whatever comes between, and ends each in one outcome that is true',
  async () => {
    const ends = new Set<string>();
    const firstDeaths = fc.constantFrom<(FeederDeath | undefined)[]>(undefined, undefined, 'between', 'after');
    const scripts = fc.commands([commands()], { maxCommands: 40, size: 'max', ...REPLAY.script });
    const property = fc.asyncProperty(firstDeaths, scripts, async (death, script) => {
      const { model, real } = openStage();
      try {
        for (const step of [submission(0, 1), submission(1, 1), feed(1, false, death)]) await step.run(model, real);
        await fc.asyncModelRun(() => ({ model, real }), script);
        await expectDrained(model, real);
        for (const { items } of model.batches) for (const item of items) ends.add(item);
      } finally {
        await real.room.close();
      }
    });
    await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: LIMIT_MS, ...REPLAY.run });
    // All of them are met by the scripts together; by one script alone, some.
    expect(ends).toEqual(REPLAY.run.path === undefined ? new Set(OUTCOMES) : ends);
  },
  LIMIT_MS + 30_000,
);
