import type fc from 'fast-check';
import type { Action } from '../../../src/core/action.ts';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { Block } from '../../../src/queue/contract.ts';
import type { HandStage } from '../hand-stage.ts';
import type { StoppedHand } from './hands.ts';
import { expectAllAs } from './judge.ts';
import type { Lives } from './life.ts';
import type { QueueModel } from './model.ts';

/** What the commands work on; the ledger's own commands see the room in it. */
export interface Real {
  readonly model: QueueModel;
  readonly room: HandStage;
  readonly lives: Lives;
  /** Times that a job may stall before BullMQ gives it up. */
  readonly maxStalled: number;
  readonly manifests: readonly (readonly Certificate[])[];
  readonly actions: readonly Action[];
  readonly direct: string;
  /** Certificates that other producers add jobs for. */
  readonly others: readonly Certificate[];
  /** Processes that are stopped. */
  readonly hands: StoppedHand[];
  /** What the model would not have. */
  readonly failures: unknown[];
  readonly cursor: (block: Block) => Promise<number>;
}

export type Command = fc.AsyncCommand<QueueModel, Real>;

export function command(
  name: string,
  step: (real: Real) => Promise<void>,
  check: (model: QueueModel) => boolean = () => true,
): Command {
  return {
    check,
    async run(_model, real) {
      real.lives.step += 1;
      try {
        await step(real);
      } catch (error) {
        // What was wrong first is the cause of the rest.
        throw real.failures[0] ?? error;
      }
      await expectRight(real);
    },
    toString: () => name,
  };
}

/** Of the ledger's commands, which know nothing of the queue: judged as the others are. */
export function request(asked: Command): Command {
  return {
    check: (model) => asked.check(model),
    async run(model, real) {
      real.lives.step += 1;
      await asked.run(model, real);
      await expectRight(real);
    },
    toString: () => asked.toString(),
  };
}

async function expectRight({ model, room, failures }: Real): Promise<void> {
  if (failures.length > 0) throw failures[0];
  await expectAllAs(model, room);
}
