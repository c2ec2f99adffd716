import { codeOf, type Answer } from '../../core/answer.ts';
import { blameOf } from '../../core/code-table.ts';
import { provesAccess } from '../../core/decide.ts';
import { bearingOf, hearEndpoint, UNTRIED, type EndpointView } from '../../core/endpoint.ts';
import type { EndpointReads } from './endpoint-reads.ts';

/** Why this process alone stops calling for an account. Times are of `performance.now()`. */
export interface HostHalt {
  /** `endpoint-unreachable`, or the API's own. */
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
}

/** What this process takes from the queue: what it can do, one job to try with, or nothing. */
export type HostIntake = 'all' | 'one' | 'none';

/** What other processes say of the account. */
export interface OthersView {
  /** No other worker is there. */
  readonly isAlone: boolean;
  /** Whether one has had proof of access by a call that left after this moment of `performance.now()`. */
  provenSince(sinceMs: number): boolean;
}

export type HostEvent =
  | { readonly kind: 'host-halted'; readonly code: string; readonly message: string }
  | { readonly kind: 'host-lifted'; readonly code: string };

export interface HostWatchParts {
  readonly reads: (hear: (answer: Answer) => void) => EndpointReads;
  readonly others: OthersView;
  /** Between two tries of a credential that is refused here, milliseconds. */
  readonly probeIntervalMs: number;
  /** Stops the account for every process. Does not reject. */
  readonly haltAccount: (code: string, message: string, instanceId: string) => Promise<void>;
  readonly onIntake: (intake: HostIntake) => void;
  readonly tell: (event: HostEvent) => void;
}

/** The code of a halt for an endpoint that judges no call. */
export const UNREACHABLE = 'endpoint-unreachable';
/** Between two reads of an endpoint that is out. */
const READ_EVERY_MS = 5_000;
/** Other processes announce each second what they have proof of; those that work for the account have it by then. */
const PROOF_WITHIN_MS = 5_000;
const PROOF_CHECK_MS = 250;

/** A halt for a refusal that may be this host's own fault. `isSure`: others have access. */
interface AccessHalt extends HostHalt {
  isSure: boolean;
  probeAtMs: number;
}

/**
 * Judges, by this process' own calls of an account, whether it is this host that cannot work: its way to the endpoint, its key or its clock. Then
 * it takes no jobs and the other workers continue. An answer costs no Redis command.
 */
export class HostWatch {
  readonly #parts: HostWatchParts;
  readonly #reads: EndpointReads;
  #view: EndpointView = UNTRIED;
  #outage: HostHalt | undefined;
  #access: AccessHalt | undefined;
  #provedMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: HostWatchParts) {
    this.#parts = parts;
    this.#reads = parts.reads((answer) => this.#judge(answer));
  }

  get halts(): readonly HostHalt[] {
    return [this.#outage, this.#access?.isSure === true ? this.#access : undefined].filter(
      (halt) => halt !== undefined,
    );
  }

  /** When the last call left that proved access; undefined where none has. */
  get provedMs(): number | undefined {
    return this.#provedMs;
  }

  get isHalted(): boolean {
    return this.#outage !== undefined || this.#access !== undefined;
  }

  /** Whether an item may be called for now. `probe`: as the one that tries whether the halt is over. */
  admit(): 'go' | 'probe' | 'halted' {
    if (!this.isHalted) return 'go';
    const access = this.#access;
    const isDue = this.#outage === undefined && access?.isSure === true;
    if (!isDue || performance.now() < access.probeAtMs) return 'halted';
    access.probeAtMs = performance.now() + this.#parts.probeIntervalMs;
    this.#follow();
    return 'probe';
  }

  /** Takes note of a read's answer: it says whether the endpoint judges calls, and nothing of the permission for others. */
  hearRead(answer: Answer): void {
    this.#judge(answer);
  }

  /** Takes note of the answer to a call that was to change something. */
  hear(answer: Answer, sentMs: number): void {
    if (provesAccess(answer)) {
      this.#provedMs = Math.max(sentMs, this.#provedMs ?? sentMs);
      // Calls that were on their way when the halt began prove nothing.
      if (this.#access !== undefined && sentMs > this.#access.sinceMs) this.#lift(this.#access);
    }
    this.#judge(answer);
  }

  /**
   * Whether an item may end dead by this answer. Where the answer blames the endpoint, only if the endpoint then judges a read: one that judges
   * nothing has not judged the item either.
   */
  async mayEndDead(answer: Answer): Promise<boolean> {
    if (bearingOf(answer) !== 'failure') return true;
    return this.#outage === undefined && this.#reads.ask();
  }

  /**
   * A call was refused in a way that stops the account. Where that may be this host's own fault, it stops here at once, and asks the others; where
   * none has access, the account is stopped for all after a few seconds.
   * @returns true where that is seen to here; false where the account must be stopped now
   */
  keeps(answer: Answer, instanceId: string): boolean {
    if (!mayBeOurs(answer)) return false;
    if (this.#access !== undefined) return true;
    if (this.#parts.others.isAlone) return false;
    // No time to ask: another process will get the same answer, or will not.
    if (!this.#isClosed) void this.#askOthers(answer, instanceId);
    return true;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Nobody waits for it: the jobs in hand go back meanwhile, so that the others can show what they have access to. */
  async #askOthers(answer: Answer, instanceId: string): Promise<void> {
    const sinceMs = performance.now();
    const message = 'message' in answer ? answer.message : '';
    const access = { code: codeOf(answer), message, sinceMs, isSure: false, probeAtMs: Number.POSITIVE_INFINITY };
    this.#access = access;
    this.#follow();
    while (!this.#parts.others.provenSince(sinceMs)) {
      await new Promise((resolve) => setTimeout(resolve, PROOF_CHECK_MS));
      // A call that was judged meanwhile has lifted it.
      if (this.#isClosed || this.#access !== access) return;
      if (performance.now() - sinceMs < PROOF_WITHIN_MS) continue;
      await this.#parts.haltAccount(access.code, message, instanceId);
      this.#access = undefined;
      return this.#follow();
    }
    access.isSure = true;
    access.probeAtMs = sinceMs + this.#parts.probeIntervalMs;
    this.#parts.tell({ kind: 'host-halted', code: access.code, message });
    this.#follow();
  }

  #lift({ code, isSure }: AccessHalt): void {
    this.#access = undefined;
    if (isSure) this.#parts.tell({ kind: 'host-lifted', code });
    this.#follow();
  }

  #judge(answer: Answer): void {
    const nowMs = performance.now();
    this.#view = hearEndpoint(this.#view, bearingOf(answer), nowMs);
    const { haltedAtMs, failures, failingSinceMs } = this.#view;
    if ((haltedAtMs === undefined) === (this.#outage === undefined)) return;
    if (haltedAtMs === undefined) {
      this.#outage = undefined;
      this.#parts.tell({ kind: 'host-lifted', code: UNREACHABLE });
    } else {
      const forS = Math.round((haltedAtMs - failingSinceMs) / 1_000);
      const message = `${failures} calls failed within ${forS} s, and none was answered; the last: ${describe(answer)}`;
      this.#outage = { code: UNREACHABLE, message, sinceMs: haltedAtMs };
      this.#parts.tell({ kind: 'host-halted', code: UNREACHABLE, message });
    }
    this.#follow();
  }

  /** Has the queue and the next try follow what is known now. */
  #follow(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const { onIntake } = this.#parts;
    if (this.#outage !== undefined) {
      onIntake('none');
      this.#timer = setTimeout(() => void this.#read(), READ_EVERY_MS);
      return;
    }
    if (this.#access === undefined) return onIntake('all');
    const probeInMs = this.#access.probeAtMs - performance.now();
    if (probeInMs <= 0) return onIntake('one');
    onIntake('none');
    if (this.#access.isSure) this.#timer = setTimeout(() => this.#follow(), Math.ceil(probeInMs));
  }

  async #read(): Promise<void> {
    await this.#reads.ask();
    if (this.#outage !== undefined) this.#follow();
  }
}

/** Whether a refusal may be for what this host alone has: its key, its token, its clock. */
function mayBeOurs(answer: Answer): boolean {
  if (answer.kind === 'not-sent') return true;
  if (answer.kind !== 'refused') return false;
  const blame = blameOf(answer.code);
  return blame === 'credential' || blame === 'token' || blame === 'clock';
}

function describe(answer: Answer): string {
  const code = codeOf(answer);
  return 'message' in answer && answer.message !== '' ? `${code}: ${answer.message}` : code;
}
