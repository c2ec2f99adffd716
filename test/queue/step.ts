import type { Job as BullJob } from 'bullmq';
import type { Answer } from '../../src/core/answer.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { Run } from '../../src/ledger/call-notes.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { BatchStateCache } from '../../src/queue/batch-state-cache.ts';
import { ItemReports } from '../../src/queue/process/item-reports.ts';
import { ItemRunner } from '../../src/queue/process/item-runner.ts';
import type { Item } from '../../src/queue/process/item.ts';
import {
  createProcessor,
  type Pacer,
  type ProcessorParts,
  type RevocationClient,
} from '../../src/queue/process/processor.ts';
import { JobResolver } from '../../src/queue/process/resolve-job.ts';
import { JobRunner } from '../../src/queue/worker/job-runner.ts';
import { ACCOUNT, type FeedStage } from './feed/feed-stage.ts';
import { noteCalls } from './note-calls.ts';

/** Tries before an item is dead. */
export const ATTEMPTS = 3;

/**
 * Where a run can be stopped: before it asks for its slot, when its call is noted but does nothing yet, before the answer is heard, before what
 * became of the item is written, and when that is written but the job is not done.
 */
export type Point = 'slot' | 'sent' | 'answered' | 'settling' | 'ended';

/** How a call ends; `honest` is by the registry alone: deleted, or not found. */
export type AnswerKind = 'honest' | 'void' | keyof typeof ANSWER;

/** What the world has ready for a run. */
export interface RunPlan {
  /** One for each call; honest ones after them. */
  readonly answers: readonly AnswerKind[];
  /** `closed`: its worker is leaving. */
  readonly grant: 'slot' | 'closed';
  readonly stopAt?: Point;
  /** Stops for a call of this certificate only. */
  readonly stopFor?: string;
}

/** So long that nothing comes back by itself. */
const LONG_MS = 600_000;

const ANSWER = {
  busy: refusal('ServiceUnavailable'),
  'lost-after': { kind: 'network', code: 'ETIMEDOUT', message: 'timeout', effect: 'unknown' },
  throttled: { ...refusal('Throttling.User'), retryAfterMs: LONG_MS },
  refused: refusal('ParameterCheckFailed'),
} as const satisfies Record<string, Answer>;

function refusal(code: string): Extract<Answer, { kind: 'refused' }> {
  return { kind: 'refused', status: 400, code, message: code, requestId: 'R' };
}

/** What all processes share besides Redis: the cloud, and its opinion of the account. */
export class World {
  /** Serial numbers. */
  readonly registered: Set<string>;
  /** Serial numbers called for. */
  readonly calls: string[] = [];
  readonly troubles: string[] = [];
  isHalted = false;
  #requests = 0;

  constructor(registered: Iterable<string>) {
    this.registered = new Set(registered);
  }

  /** The call arrives; what it does is done when this returns. */
  call({ deviceSn }: Certificate, kind: AnswerKind): Answer {
    if (kind === 'void') return { kind: 'not-sent', reason: 'slot-void', message: 'late' };
    this.calls.push(deviceSn);
    // The API's name for a call: no two have the same.
    this.#requests += 1;
    const requestId = `R-${this.#requests}`;
    if (kind === 'lost-after') this.registered.delete(deviceSn);
    if (kind === 'honest') {
      const isDeleted = this.registered.delete(deviceSn);
      return isDeleted ? { kind: 'accepted', requestId } : { ...refusal('FindDeviceBySnError'), requestId };
    }
    const answer = ANSWER[kind];
    return answer.kind === 'refused' ? { ...answer, requestId } : answer;
  }
}

/** A process that sees no outage: every endpoint judges a read. */
export const HEALTHY: ProcessorParts['host'] = {
  isHalted: false,
  admit: () => 'go',
  hear: () => undefined,
  mayEndDead: () => Promise.resolve(true),
  keeps: () => false,
};

/** A process with all that a worker has, and one job or claim in hand. It can be stopped at a point, for ever or for a while. */
export class Step {
  readonly #stage: FeedStage;
  readonly #world: World;
  readonly #plan: RunPlan;
  readonly #answers: AnswerKind[];
  readonly #states: BatchStateCache;
  readonly #runner: JobRunner;
  readonly #items: ItemRunner;
  #isStopping = true;
  #goesOn: Promise<void> | undefined;
  #stopped: () => void = () => undefined;
  #goOn: () => void = () => undefined;
  #end: Promise<unknown> = Promise.resolve();

  constructor(stage: FeedStage, world: World, plan: RunPlan) {
    this.#stage = stage;
    this.#world = world;
    this.#plan = plan;
    this.#answers = [...plan.answers];
    const { ledger } = stage;
    const chunks = new ChunkReader(ledger);
    this.#states = new BatchStateCache(ledger);
    const tell = (event: { readonly kind: string; readonly error?: Error }): void => {
      if (event.error !== undefined) world.troubles.push(event.error.message);
    };
    const reports = new ItemReports({ items: ledger.items, tell });
    const process = createProcessor({
      pacer: this.#pacer(),
      host: HEALTHY,
      client: this.#client(),
      refreshCredentials: () => undefined,
      policy: { attempts: ATTEMPTS, notFound: 'already-gone', baseMs: LONG_MS, capMs: LONG_MS },
      random: () => 0.5,
      tell,
    });
    this.#items = new ItemRunner(process, {
      write: async (item, disposition) => {
        await this.#reach('settling', item.certificate);
        return reports.write(item, disposition);
      },
    });
    this.#runner = new JobRunner({
      ledger,
      chunks,
      states: this.#states,
      resolver: new JobResolver(ledger, chunks, this.#states, ACCOUNT),
      items: this.#items,
      owns: () => true,
      ownerOf: () => undefined,
      admits: () => (world.isHalted ? 'none' : 'all'),
      onBlock: () => undefined,
      tell,
    });
  }

  /** Begins, and resolves when it has ended or is stopped. @returns whether it is stopped */
  async begin(run: () => Promise<unknown>): Promise<boolean> {
    const stopped = new Promise<boolean>((resolve) => {
      this.#stopped = () => resolve(true);
    });
    this.#end = run();
    return Promise.race([stopped, this.#end.then(() => false)]);
  }

  /** Goes on to its end. */
  async goOn(): Promise<void> {
    this.#isStopping = false;
    this.#goOn();
    await this.#end;
  }

  /** What BullMQ's worker calls. */
  async work(job: BullJob, token: string, isDirect: boolean): Promise<void> {
    try {
      await (isDirect ? this.#runner.runDirect(job, token) : this.#runner.runBlock(job, token));
    } finally {
      await this.#reach('ended');
    }
  }

  /** An item from the waiting place. */
  async claim(item: Omit<Item, 'run'>, run: Run): Promise<void> {
    await this.#items.run({ ...item, run });
    await this.#reach('ended');
  }

  /** A process that is stopped does nothing any more, for none of its items. */
  async #reach(point: Point, certificate?: Certificate): Promise<void> {
    const { stopAt, stopFor } = this.#plan;
    if (this.#goesOn === undefined) {
      const isHere = point === stopAt && (stopFor === undefined || stopFor === certificate?.deviceSn);
      if (!this.#isStopping || !isHere) return;
      this.#goesOn = new Promise<void>((resolve) => {
        this.#goOn = resolve;
      });
      this.#stopped();
    }
    await this.#goesOn;
    // Word of a change has come meanwhile.
    this.#states.forget();
  }

  #pacer(): Pacer {
    return {
      take: async ({ call }) => {
        await this.#reach('slot');
        if (this.#plan.grant === 'closed') return { kind: 'closed' };
        if (this.#world.isHalted) {
          return { kind: 'halted', scope: 'account', code: 'Forbidden.RAM', message: '', retryInMs: LONG_MS };
        }
        const [verdict] = await noteCalls(this.#stage.ledger, call === undefined ? [] : [call]);
        if (verdict !== undefined && verdict.kind !== 'go') return { kind: 'refused', verdict };
        return { kind: 'slot', notAfterMs: 0, isProbe: false, verdict, report: () => Promise.resolve('nothing') };
      },
    };
  }

  #client(): RevocationClient {
    return {
      deleteDeviceCertificate: async (certificate) => {
        await this.#reach('sent', certificate);
        const answer = this.#world.call(certificate, this.#answers.shift() ?? 'honest');
        await this.#reach('answered', certificate);
        return answer;
      },
    };
  }
}
