import type { Job as BullJob } from 'bullmq';
import type { Answer } from '../../src/core/answer.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { ItemLocator } from '../../src/queue/item.ts';
import { createProcessor, type Pacer, type RevocationClient } from '../../src/queue/processor.ts';
import type { FeederStage } from './feeder-stage.ts';
import { ACCOUNT } from './feeder-stage.ts';

/** Tries before an item is dead. */
const ATTEMPTS = 3;

/** Where a run can be stopped: before it has its slot, before its call does anything, before the answer is heard. */
export type Point = 'slot' | 'sent' | 'answered';

/** How a call ends; `honest` is by the registry alone: deleted, or not found. */
export type AnswerKind = 'honest' | 'busy' | 'throttled' | 'refused';

/** Locks are lost by hand, and stalled jobs looked for by hand. */
export const NEVER_MS = 3_600_000;
/** So long that a job does not come back by itself. */
const LONG_MS = 600_000;

/** The cloud, which all processes share. */
export class World {
  /** Serial numbers. */
  readonly registered: Set<string>;
  /** Serial numbers called for. */
  readonly calls: string[] = [];

  constructor(registered: Iterable<string>) {
    this.registered = new Set(registered);
  }

  /** The call arrives; what it does is done when this returns. */
  call({ deviceSn }: Certificate, kind: AnswerKind): Answer {
    this.calls.push(deviceSn);
    if (kind !== 'honest') return ANSWER[kind];
    const isDeleted = this.registered.delete(deviceSn);
    return isDeleted ? { kind: 'accepted', requestId: 'R' } : refusal('FindDeviceBySnError');
  }
}

const ANSWER: Readonly<Record<Exclude<AnswerKind, 'honest'>, Answer>> = {
  busy: refusal('ServiceUnavailable'),
  throttled: { ...refusal('Throttling.User'), retryAfterMs: LONG_MS },
  refused: refusal('ParameterCheckFailed'),
};

function refusal(code: string): Extract<Answer, { kind: 'refused' }> {
  return { kind: 'refused', status: 400, code, message: code, requestId: 'R' };
}

/** A process with the real processor and one job in hand, which can be stopped at a point for a while. */
export class Hand {
  readonly #world: World;
  readonly #answers: AnswerKind[];
  readonly #process: (job: BullJob, token?: string) => Promise<void>;
  #stopAt: Point | undefined;
  #stopped: () => void = () => undefined;
  #goOn: () => void = () => undefined;
  #end: Promise<unknown> = Promise.resolve();

  /** @param answers - one for each call; honest ones after them */
  constructor(stage: FeederStage, world: World, answers: readonly AnswerKind[]) {
    this.#world = world;
    this.#answers = [...answers];
    const states = new BatchStates(stage.ledger);
    this.#process = createProcessor({
      ledger: stage.ledger,
      states,
      locator: new ItemLocator(stage.ledger, new ChunkReader(stage.ledger), states, ACCOUNT),
      pacer: this.#pacer(states),
      client: this.#client(),
      refreshCredentials: () => undefined,
      policy: { attempts: ATTEMPTS, notFound: 'already-gone', baseMs: LONG_MS, capMs: LONG_MS },
      owns: () => true,
      random: () => 0.5,
      tell: () => undefined,
    });
  }

  /** Begins, and resolves when it has ended or is stopped. */
  async begin(run: () => Promise<unknown>, stopAt?: Point): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    this.#stopAt = stopAt;
    this.#end = run();
    await Promise.race([stopped, this.#end]);
  }

  /** Goes on to its end. */
  async goOn(): Promise<void> {
    const go = this.#goOn;
    this.#goOn = () => undefined;
    go();
    await this.#end;
  }

  /** What BullMQ's worker calls. */
  async work(job: BullJob, token?: string): Promise<void> {
    // Locks end by hand only.
    const extendLock = job.extendLock.bind(job);
    Object.assign(job, { extendLock: (of: string) => extendLock(of, NEVER_MS) });
    await this.#process(job, token);
  }

  async #reach(point: Point): Promise<void> {
    if (point !== this.#stopAt) return;
    this.#stopAt = undefined;
    const goesOn = new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
    this.#stopped();
    await goesOn;
  }

  #pacer(states: BatchStates): Pacer {
    return {
      take: async () => {
        await this.#reach('slot');
        // Word of a change has come while it waited.
        states.forget();
        return { kind: 'slot', notAfterMs: 0, probe: false };
      },
      throttled: () => Promise.resolve(),
      halt: () => Promise.resolve(false),
      lift: () => Promise.resolve(false),
    };
  }

  #client(): RevocationClient {
    return {
      deleteDeviceCertificate: async (certificate) => {
        await this.#reach('sent');
        const answer = this.#world.call(certificate, this.#answers.shift() ?? 'honest');
        await this.#reach('answered');
        return answer;
      },
    };
  }
}
