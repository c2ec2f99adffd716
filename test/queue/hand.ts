import type { Job as BullJob } from 'bullmq';
import type { Answer } from '../../src/core/answer.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { ItemLocator } from '../../src/queue/item.ts';
import { createProcessor, type Pacer, type ProcessorParts, type RevocationClient } from '../../src/queue/processor.ts';
import type { FeederStage } from './feeder-stage.ts';
import { ACCOUNT } from './feeder-stage.ts';

/** Tries before an item is dead. */
export const ATTEMPTS = 3;

/**
 * Where a run can be stopped: before it has its slot, when its call is noted but does nothing yet, before the answer is heard, before it settles,
 * when its trail is written but the job is not moved, and when its item is settled but the job is not done.
 */
export const POINTS = ['slot', 'sent', 'answered', 'settling', 'written', 'ended'] as const;
export type Point = (typeof POINTS)[number];

/** How a call ends; `honest` is by the registry alone: deleted, or not found. */
export const ANSWERS = [
  'honest',
  'busy',
  'unreachable',
  'lost-before',
  'lost-after',
  'garbled-after',
  'throttled',
  'refused',
  'nonce',
  'old-token',
  'void',
  'forbidden',
] as const;
export type AnswerKind = (typeof ANSWERS)[number];

/** What the world has ready for a run. */
export interface RunPlan {
  /** One for each call; honest ones after them. */
  readonly answers: readonly AnswerKind[];
  /** `probe`: where the account is halted, it may call all the same. `closed`: its worker is leaving. */
  readonly grant: 'slot' | 'probe' | 'closed';
}

/** Locks are lost by hand, and stalled jobs looked for by hand. */
export const NEVER_MS = 3_600_000;
/** So long that a job does not come back by itself. */
const LONG_MS = 600_000;

/** What all processes share besides Redis: the cloud, and its opinion of the account. */
export class World {
  /** Serial numbers. */
  readonly registered: Set<string>;
  /** Serial numbers called for since the last look. */
  readonly calls: string[] = [];
  readonly defects: string[] = [];
  /** Probes that were given back. */
  probesAgain = 0;
  isHalted = false;
  #requests = 0;

  constructor(registered: Iterable<string>) {
    this.registered = new Set(registered);
  }

  /** The API's name for a call: no two have the same. */
  #requestId(): string {
    this.#requests += 1;
    return `R-${this.#requests}`;
  }

  /** The call arrives; what it does is done when this returns. */
  call({ deviceSn }: Certificate, kind: AnswerKind): Answer {
    if (kind === 'void') return { kind: 'not-sent', reason: 'slot-void', message: 'late' };
    this.calls.push(deviceSn);
    if (kind === 'lost-after' || kind === 'garbled-after') this.registered.delete(deviceSn);
    if (kind === 'honest') {
      const isDeleted = this.registered.delete(deviceSn);
      const requestId = this.#requestId();
      return isDeleted ? { kind: 'accepted', requestId } : { ...refusal('FindDeviceBySnError'), requestId };
    }
    const answer = ANSWER[kind];
    return answer.kind === 'refused' ? { ...answer, requestId: this.#requestId() } : answer;
  }
}

const ANSWER: Readonly<Record<Exclude<AnswerKind, 'honest' | 'void'>, Answer>> = {
  busy: refusal('ServiceUnavailable'),
  unreachable: { kind: 'network', code: 'ECONNREFUSED', message: 'refused', effect: 'none' },
  'lost-before': { kind: 'network', code: 'ECONNRESET', message: 'reset', effect: 'unknown' },
  'lost-after': { kind: 'network', code: 'ETIMEDOUT', message: 'timeout', effect: 'unknown' },
  'garbled-after': { kind: 'garbled', status: 502, message: 'HTML' },
  throttled: { ...refusal('Throttling.User'), retryAfterMs: LONG_MS },
  refused: refusal('ParameterCheckFailed'),
  nonce: refusal('SignatureNonceUsed'),
  'old-token': refusal('InvalidSecurityToken.Expired'),
  forbidden: refusal('Forbidden.RAM'),
};

function refusal(code: string): Extract<Answer, { kind: 'refused' }> {
  return { kind: 'refused', status: 400, code, message: code, requestId: 'R' };
}

/** A process that sees no outage: every endpoint judges a read. */
const HEALTHY: ProcessorParts['host'] = {
  isHalted: false,
  admit: () => 'go',
  hear: () => undefined,
  mayEndDead: () => Promise.resolve(true),
  keeps: () => false,
};

/** A process with the real processor and one job in hand, which can be stopped at a point, for ever or for a while. */
export class Hand {
  readonly #world: World;
  readonly #states: BatchStates;
  readonly #answers: AnswerKind[];
  readonly #plan: RunPlan;
  readonly #process: (job: BullJob, token?: string) => Promise<void>;
  #stopAt: Point | undefined;
  #stopped: () => void = () => undefined;
  #goOn: () => void = () => undefined;
  #end: Promise<unknown> = Promise.resolve();

  constructor(stage: FeederStage, world: World, plan: RunPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#answers = [...plan.answers];
    this.#states = new BatchStates(stage.ledger);
    const states = this.#states;
    this.#process = createProcessor({
      ledger: this.#ledger(stage.ledger),
      states,
      locator: new ItemLocator(stage.ledger, new ChunkReader(stage.ledger), states, ACCOUNT),
      pacer: this.#pacer(),
      host: HEALTHY,
      client: this.#client(),
      refreshCredentials: () => undefined,
      policy: { attempts: ATTEMPTS, notFound: 'already-gone', baseMs: LONG_MS, capMs: LONG_MS },
      owns: () => true,
      ownerOf: () => undefined,
      random: () => 0.5,
      tell: (event) => {
        if (event.kind === 'defect') world.defects.push(event.error.message);
      },
    });
  }

  /** Begins, and resolves when it has ended or is stopped. @returns whether it is stopped */
  async begin(run: () => Promise<unknown>, stopAt?: Point): Promise<boolean> {
    const stopped = new Promise<boolean>((resolve) => {
      this.#stopped = () => resolve(true);
    });
    this.#stopAt = stopAt;
    this.#end = run();
    return Promise.race([stopped, this.#end.then(() => false)]);
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
    this.#stopBefore(job, 'moveToDelayed');
    this.#stopBefore(job, 'moveToWait');
    // Locks end by hand only.
    const extendLock = job.extendLock.bind(job);
    Object.assign(job, { extendLock: (of: string) => extendLock(of, NEVER_MS) });
    await this.#process(job, token);
    await this.#reach('ended');
  }

  async #reach(point: Point): Promise<void> {
    if (point !== this.#stopAt) return;
    this.#stopAt = undefined;
    const goesOn = new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
    this.#stopped();
    await goesOn;
    // Word of a change has come meanwhile.
    this.#states.forget();
  }

  #stopBefore(job: BullJob, move: 'moveToDelayed' | 'moveToWait'): void {
    const moveIt = job[move].bind(job) as (...args: unknown[]) => Promise<unknown>;
    Object.assign(job, {
      [move]: async (...args: unknown[]) => {
        await this.#reach('written');
        return moveIt(...args);
      },
    });
  }

  #ledger(ledger: Ledger): Pick<Ledger, 'depart' | 'history' | 'settle'> {
    return {
      depart: (...call) => ledger.depart(...call),
      history: (...call) => ledger.history(...call),
      settle: async (settlement) => {
        await this.#reach('settling');
        return ledger.settle(settlement);
      },
    };
  }

  #pacer(): Pacer {
    const world = this.#world;
    let isProbe = false;
    return {
      take: async (_instanceId, _urgent, onNear) => {
        await this.#reach('slot');
        onNear?.();
        isProbe = world.isHalted && this.#plan.grant === 'probe';
        if (this.#plan.grant === 'closed') return { kind: 'closed' };
        if (!world.isHalted || isProbe) return { kind: 'slot', notAfterMs: 0, probe: isProbe };
        return { kind: 'halted', scope: 'account', code: 'Forbidden.RAM', message: '', retryInMs: LONG_MS };
      },
      throttled: () => Promise.resolve(),
      halt: () => {
        world.isHalted = true;
        return Promise.resolve(true);
      },
      lift: () => {
        if (isProbe) world.isHalted = false;
        return Promise.resolve(isProbe);
      },
      probeAgain: () => {
        world.probesAgain += 1;
        return Promise.resolve();
      },
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
