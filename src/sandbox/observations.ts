import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { AccountSeen, EgressSeen } from './quotas.ts';

/** What the sandbox saw since it began. No secrets, no signatures; accounts are named by AccessKeyId. */
export interface SandboxReport {
  readonly calls: number;
  readonly byOperation: Readonly<Record<string, number>>;
  /** By the code answered: `OK`, the API's codes, `(no code)` for an answer without one. Adds up to `calls`. */
  readonly byCode: Readonly<Record<string, number>>;
  /** Faults of the plan that were played, by kind. */
  readonly byFault: Readonly<Record<string, number>>;
  readonly accounts: Readonly<Record<string, AccountSeen>>;
  readonly egress: Readonly<Record<string, EgressSeen>>;
  /** Certificates deleted, each counted once. */
  readonly deletions: number;
  /** Calls that would change a certificate, per certificate. */
  readonly certificates: CertificatesSeen;
  /** The longest the sandbox's own event loop stood still, milliseconds: arrivals in it may look like a burst. */
  readonly worstLagMs: number;
}

interface CertificatesSeen {
  readonly called: number;
  readonly calledAgain: number;
  /** How many certificates were called how often, above once: `{"2": 31}` is 31 certificates called twice. */
  readonly byCalls: Readonly<Record<string, number>>;
}

const LAG_RESOLUTION_MS = 5;

/** The sandbox's own record. One entry per certificate is kept, some 16 million at most, the size of a JavaScript map. */
export class Observations {
  #calls = 0;
  readonly #byOperation = new Map<string, number>();
  readonly #byCode = new Map<string, number>();
  readonly #byFault = new Map<string, number>();
  readonly #callsOf = new Map<string, number>();
  readonly #byCalls = new Map<number, number>();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });

  constructor() {
    this.#lag.enable();
  }

  noteCall(): void {
    this.#calls += 1;
  }

  noteOperation(operation: string): void {
    add(this.#byOperation, operation, 1);
  }

  noteCode(code: string): void {
    add(this.#byCode, code, 1);
  }

  noteFault(kind: string): void {
    add(this.#byFault, kind, 1);
  }

  /** @param key - from `certificateKey` */
  noteCertificate(key: string): void {
    const before = this.#callsOf.get(key) ?? 0;
    this.#callsOf.set(key, before + 1);
    if (before > 1) add(this.#byCalls, before, -1);
    if (before > 0) add(this.#byCalls, before + 1, 1);
  }

  /** The record, joined with what others keep. */
  report(others: Pick<SandboxReport, 'accounts' | 'egress' | 'deletions'>): SandboxReport {
    const again = [...this.#byCalls].filter(([, certificates]) => certificates > 0);
    return {
      calls: this.#calls,
      byOperation: Object.fromEntries(this.#byOperation),
      byCode: Object.fromEntries(this.#byCode),
      byFault: Object.fromEntries(this.#byFault),
      ...others,
      certificates: {
        called: this.#callsOf.size,
        calledAgain: again.reduce((sum, [, certificates]) => sum + certificates, 0),
        byCalls: Object.fromEntries(again),
      },
      // The histogram measures whole turns of its timer; only what exceeds the timer's own interval is lag.
      worstLagMs: Math.max(0, Math.round(this.#lag.max / 1e6 - LAG_RESOLUTION_MS)),
    };
  }

  stop(): void {
    this.#lag.disable();
  }
}

function add<K>(counts: Map<K, number>, key: K, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
