import { submission } from '../../ledger/model-commands.ts';
import { certificatesOf } from '../feed/feed-stage.ts';
import { World } from '../hand.ts';
import { HandStage, INSTANCES, type FeederDeath } from '../hand-stage.ts';
import { feed } from './commands.ts';
import { Lives } from './life.ts';
import { QueueModel } from './model.ts';
import type { Real } from './real.ts';

/** Two fleets that share certificates, some of which nobody ever registered; more than the first step of the ramp; both are submitted, and a feeder has been there. */
export async function openStage(
  maxStalled: number,
  lowWater: number,
  death?: FeederDeath,
): Promise<{ model: QueueModel; real: Real }> {
  const fleet = certificatesOf(16, INSTANCES);
  const manifests = [fleet.slice(0, 12), fleet.slice(9, 15)];
  const registered = fleet.filter((_, n) => n % 5 !== 4).map(({ deviceSn }) => deviceSn);
  const room = new HandStage(new World(registered), { maxStalled, lowWater });
  const model = new QueueModel(manifests);
  const lives = new Lives(model);
  const failures: unknown[] = [];
  room.world.watch(
    (event) => lives.hear(event),
    (error) => failures.push(error),
  );
  const real: Real = {
    model,
    room,
    lives,
    maxStalled,
    manifests,
    direct: room.direct,
    others: fleet.slice(13),
    hands: [],
    failures,
    cursor: ({ batch, instanceId }) => room.ledger.lanes.cursor(batch, instanceId),
  };
  for (const step of [submission(0, 1), submission(1, 1), feed(1, false, death)]) await step.run(model, real);
  return { model, real };
}
