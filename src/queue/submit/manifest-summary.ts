import type { Certificate } from '../../core/certificate.ts';
import type { ManifestRow } from '../../manifest/row.ts';
import { DuplicateDetector } from '../../manifest/duplicate-detector.ts';

/** A row that is no item, and why. `line` counts from 1. */
export interface Rejection {
  readonly line: number;
  readonly reason: string;
}

/** What a manifest holds, counted while it is read. */
export interface ManifestSummary {
  readonly accepted: number;
  /** Rows that name a certificate for a second time; each is done once. */
  readonly duplicates: number;
  readonly rejected: number;
  /** The first hundred of the rejected. */
  readonly rejections: readonly Rejection[];
  /** Accepted items, by account and instance. */
  readonly instances: readonly InstanceShare[];
}

export interface InstanceShare {
  readonly account: string;
  readonly instanceId: string;
  readonly items: number;
}

/** Rejections kept with their reasons: enough to see what is wrong, and bounded for a manifest that is wrong all over. */
export const REJECTIONS_KEPT = 100;

/** What finds the duplicates of a manifest. */
export type Duplicates = Pick<DuplicateDetector, 'add' | 'close'>;

/** Counts the rows of one manifest, one by one, and tells which are new items. Must be closed, also after an error. */
export class ManifestSummarizer {
  readonly #accountOf: (instanceId: string) => string | undefined;
  readonly #duplicateDetector: Duplicates;
  readonly #items = new Map<string, { account: string; items: number }>();
  readonly #rejections: Rejection[] = [];
  #accepted = 0;
  #duplicates = 0;
  #rejected = 0;

  /**
   * @param accountOf - the name of the account that has the instance
   * @param duplicateDetector - of this manifest alone; closed with the summarizer
   */
  constructor(
    accountOf: (instanceId: string) => string | undefined,
    duplicateDetector: Duplicates = new DuplicateDetector(),
  ) {
    this.#accountOf = accountOf;
    this.#duplicateDetector = duplicateDetector;
  }

  /**
   * @returns the certificate when the row is a new item
   * @throws ScratchUnavailable
   */
  add(row: ManifestRow): Certificate | undefined {
    if (!row.ok) return this.#reject(row.line, row.reason);
    const { certificate } = row;
    const { instanceId } = certificate;
    const known = this.#items.get(instanceId) ?? this.#open(instanceId);
    if (known === undefined) {
      const reason = `no account of the configuration has the instance ${JSON.stringify(instanceId)}: add it under accounts.<name>.instances`;
      return this.#reject(row.line, reason);
    }
    if (!this.#duplicateDetector.add(certificate)) {
      this.#duplicates += 1;
      return undefined;
    }
    known.items += 1;
    this.#accepted += 1;
    return certificate;
  }

  get summary(): ManifestSummary {
    return {
      accepted: this.#accepted,
      duplicates: this.#duplicates,
      rejected: this.#rejected,
      rejections: this.#rejections,
      instances: [...this.#items].map(([instanceId, { account, items }]) => ({ account, instanceId, items })),
    };
  }

  /** What was counted stays. */
  close(): void {
    this.#duplicateDetector.close();
  }

  #open(instanceId: string): { account: string; items: number } | undefined {
    const account = this.#accountOf(instanceId);
    if (account === undefined) return undefined;
    const share = { account, items: 0 };
    this.#items.set(instanceId, share);
    return share;
  }

  #reject(line: number, reason: string): undefined {
    this.#rejected += 1;
    if (this.#rejections.length < REJECTIONS_KEPT) this.#rejections.push({ line, reason });
    return undefined;
  }
}
