import { submission } from '../../ledger/model-commands.ts';
import { certificatesOf } from '../feed/feed-stage.ts';
import { World } from '../hand.ts';
import { HandStage, INSTANCES, type FeederDeath } from '../hand-stage.ts';
import { feed } from './commands.ts';
import { Lives } from './life.ts';
import { QueueModel } from './model.ts';
import type { Real } from './real.ts';

const ACTIONS = ['delete', 'delete', 'inactivate', 'activate', 'retire'] as const;

/** What is submitted first, by manifest. */
export const OPENINGS: readonly (readonly number[])[] = [[0, 1], [2, 1], [2, 3], [2], [3, 1], [4], [4], [4, 3]];

/**
 * Manifests that share certificates, of which some were never registered and some are inactive; more than the first step of the ramp; some are
 * submitted, and a feeder has been there.
 * @param opening - the manifests that are submitted
 * @param refusesSameState - of the cloud: it does not take a call whose work is done already
 */
export async function openStage(
  opening: readonly number[],
  refusesSameState: boolean,
  maxStalled: number,
  lowWater: number,
  death?: FeederDeath,
): Promise<{ model: QueueModel; real: Real }> {
  const fleet = certificatesOf(16, INSTANCES);
  const manifests = [
    fleet.slice(0, 12),
    fleet.slice(9, 15),
    fleet.slice(0, 11),
    fleet.slice(3, 14),
    fleet.slice(1, 13),
  ];
  const registered = fleet.filter((_, n) => n % 5 !== 4).map(({ deviceSn }) => deviceSn);
  const world = new World(registered, refusesSameState);
  for (const [n, { deviceSn }] of fleet.entries()) if (n % 2 === 1) world.inactive.add(deviceSn);
  const room = new HandStage(world, { maxStalled, lowWater });
  const model = new QueueModel(manifests);
  const lives = new Lives(model, () => world.isCaActive);
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
    actions: ACTIONS,
    direct: room.direct,
    others: fleet.slice(13),
    hands: [],
    failures,
    cursor: ({ batch, instanceId }) => room.ledger.lanes.cursor(batch, instanceId),
  };
  for (const step of [...opening.map((at) => submission(at, 1)), feed(1, false, death)]) await step.run(model, real);
  return { model, real };
}
