import type { Answer } from '../../core/answer.ts';
import { bearingOf, SLOTS_TRIED } from '../../core/endpoint.ts';
import { blameOf } from '../../core/code-table.ts';
import type { CallToNote, CallVerdict } from '../../ledger/call-notes.ts';
import type { Limiter } from '../../limiter/contract.ts';

/** A call that changes nothing and that any working endpoint can judge. */
export interface ReadingClient {
  readInstance(instanceId: string, notAfterMs: number): Promise<Answer>;
}

export interface EndpointReadsParts {
  readonly pacer: Pick<Limiter<CallToNote, CallVerdict>, 'take'>;
  readonly client: ReadingClient;
  /** Of the account; each read takes the next one, since one of them may be halted. */
  readonly instances: readonly string[];
  readonly hear: (answer: Answer) => void;
}

/** Reads are no nearer to each other: they count against the quotas. */
const APART_MS = 250;

/** Asks the endpoint whether it judges calls at all, with a slot as every call has. One read answers all who asked before it left. */
export class EndpointReads {
  readonly #parts: EndpointReadsParts;
  /** Of the read that has not left yet. */
  #next: Promise<boolean> | undefined;
  /** Ends with the last read that was begun. */
  #last: Promise<unknown> = Promise.resolve();
  #sentMs = Number.NEGATIVE_INFINITY;
  #turn = 0;

  constructor(parts: EndpointReadsParts) {
    this.#parts = parts;
  }

  /** Whether a read got a judgement that left after this was asked. Never rejects; false where none could be made: what must end dead is then called for once more. */
  ask(): Promise<boolean> {
    if (this.#next === undefined) {
      const read = this.#last.then(() => this.#read(() => (this.#next = undefined))).catch(() => false);
      this.#next = read;
      this.#last = read;
    }
    return this.#next;
  }

  async #read(leave: () => void): Promise<boolean> {
    const { pacer, client, hear } = this.#parts;
    let hasLeft = false;
    const leaveOnce = (): void => {
      if (!hasLeft) leave();
      hasLeft = true;
    };
    const earlyMs = this.#sentMs + APART_MS - performance.now();
    if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs));
    try {
      for (let tried = 0; tried < SLOTS_TRIED; tried += 1) {
        const instanceId = this.#nextInstance();
        const grant = await pacer.take({ instanceId, isUrgent: true });
        if (grant.kind === 'closed') return false;
        if (grant.kind !== 'slot') continue;
        leaveOnce();
        this.#sentMs = performance.now();
        const answer = await client.readInstance(instanceId, grant.notAfterMs);
        // The account or instance is halted, too. A read is no probe of that, since it needs another permission than the deletion: the next
        // deletion probes. But without a read the outage would keep that deletion away for ever.
        const isThrottled = answer.kind === 'refused' && blameOf(answer.code) === 'rate';
        await grant.report(
          isThrottled ? { kind: 'throttled', retryAfterMs: answer.retryAfterMs ?? 0 } : { kind: 'void' },
        );
        if (answer.kind === 'not-sent' && answer.reason === 'slot-void') continue;
        hear(answer);
        return bearingOf(answer) === 'judgement';
      }
      return false;
    } finally {
      leaveOnce();
    }
  }

  #nextInstance(): string {
    const { instances } = this.#parts;
    const instanceId = instances[this.#turn % instances.length] ?? '';
    this.#turn += 1;
    return instanceId;
  }
}
