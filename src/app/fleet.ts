import { PLANNED_ACTIONS, type PlannedAction } from '../core/action.ts';
import type { Certificate } from '../core/certificate.ts';
import type { RegisteredStatus } from '../core/registered.ts';
import { wantedIn, type WantedPem } from '../inventory/pem.ts';
import type { InventoryRow } from '../inventory/row.ts';
import type { Selectors } from '../inventory/selection.ts';
import { rowsOfObjects } from '../manifest/objects.ts';
import { reachOf } from './accounts.ts';
import { CloudUnavailable } from './cloud-unavailable.ts';
import { rowsOf } from './inventory-rows.ts';
import { inventoryOf, type Inventory } from './inventory.ts';
import { publishedPlan, type PublishedPlan } from './plan-report.ts';
import { planOf, type PlanObstacle, type PlanSource } from './plan.ts';
import type { OpenStore } from './store.ts';
import type { Rejection } from './submit.ts';

export type { InventoryRow } from '../inventory/row.ts';

/** Which certificates of an instance are wanted: those that fit every kind of selector that is given. Without any, all. */
export interface InventorySelectors {
  /** Serial numbers of CAs. */
  readonly cas?: readonly string[];
  readonly status?: RegisteredStatus;
  /** Those that expired this many milliseconds ago, or longer. */
  readonly expiredForMs?: number;
  /** Those that are valid now, and expire within this many milliseconds. */
  readonly expiresWithinMs?: number;
  /** Names of devices. */
  readonly names?: readonly string[];
  /** Texts in PEM, each of one certificate or of several. */
  readonly pems?: readonly string[];
  /** None of these. */
  readonly except?: Iterable<Certificate> | AsyncIterable<Certificate>;
}

/** What an inventory was, once it has ended; see docs/inventory.md. */
export interface InventorySummary extends Inventory {
  readonly instance: string;
}

/** An inventory that is taken while it is read: each certificate once. It can be read once. */
export interface InventoryWalk extends AsyncIterable<InventoryRow> {
  /** Undefined until the last certificate has been read. Look at its `state`: `moved` means that some may be missing. */
  readonly summary: InventorySummary | undefined;
}

/** What a plan may have at most, and where it is written. */
export interface PlanOptions {
  /** What is planned. Default `delete`. */
  readonly action?: PlannedAction;
  readonly maxItems?: number;
  /** Of the certificates of each CA: more than 0, at most 1. */
  readonly maxShareOfCa?: number;
  /** The plan file, which `certsweep submit --plan` runs; it appears only when it is complete. Without it, none is written. */
  readonly out?: string;
}

/** What a plan says. Where something is in its way, no plan file was written. */
export interface Plan extends PublishedPlan {
  readonly obstacles: readonly PlanObstacle[];
  /** Of a selection: names and PEMs that no certificate has. */
  readonly notFound: readonly string[];
  /** Of a selection: PEMs that are known by their number only, which several certificates have. */
  readonly ambiguous: readonly string[];
}

/** Some of the certificates to plan for are none, or no account has their instance: nothing was asked. */
export class InvalidCertificates extends Error {
  override readonly name = 'InvalidCertificates';
  readonly rejected: number;
  /** The first hundred. */
  readonly rejections: readonly Rejection[];

  constructor(rejected: number, rejections: readonly Rejection[]) {
    const [first] = rejections;
    super(
      `${rejected} of the certificates are not valid${first === undefined ? '' : `; the first, at position ${first.line}: ${first.reason}`}`,
    );
    this.rejected = rejected;
    this.rejections = rejections;
  }
}

/** What a service asks the cloud. */
export class Fleet {
  readonly #store: OpenStore;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(store: OpenStore) {
    this.#store = store;
  }

  inventory(instanceId: string, selectors: InventorySelectors = {}): InventoryWalk {
    let summary: InventorySummary | undefined;
    const rows = this.#rows(instanceId, selectors, (inventory) => (summary = { instance: instanceId, ...inventory }));
    return {
      get summary() {
        return summary;
      },
      [Symbol.asyncIterator]: () => rows,
    };
  }

  async plan(
    source: Iterable<Certificate> | AsyncIterable<Certificate> | (InventorySelectors & { readonly instanceId: string }),
    options: PlanOptions = {},
  ): Promise<Plan> {
    const { action = 'delete', out, ...caps } = options;
    const { maxItems = 0, maxShareOfCa = 1 } = caps;
    if (!PLANNED_ACTIONS.includes(action))
      throw new TypeError(`action is ${action}: give one of ${PLANNED_ACTIONS.join(', ')}`);
    must('maxItems', maxItems, Number.isInteger(maxItems) && maxItems >= 0, 'a whole number');
    // As a percentage it would be no cap at all.
    must(
      'maxShareOfCa',
      maxShareOfCa,
      maxShareOfCa > 0 && maxShareOfCa <= 1,
      'more than 0 and at most 1, such as 0.05',
    );
    const request = { source: this.#sourceOf(source), action, caps, ...(out !== undefined && { out }) };
    const end = await this.#noted(planOf(this.#store, request, this.#closing.signal));
    switch (end.kind) {
      case 'planned':
      case 'obstructed': {
        const { notFound, ambiguous } = end.report;
        const obstacles = end.kind === 'planned' ? [] : end.obstacles;
        return { ...publishedPlan(end.report), obstacles, notFound, ambiguous };
      }
      case 'bad-rows':
        throw new InvalidCertificates(end.summary.rejected, end.summary.rejections);
      case 'no-key':
      case 'halted':
      case 'refused':
      case 'closed':
        throw new CloudUnavailable(end);
    }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#underWay);
  }

  async #noted<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  async *#rows(
    instanceId: string,
    selectors: InventorySelectors,
    tell: (inventory: Inventory) => void,
  ): AsyncGenerator<InventoryRow, undefined, undefined> {
    const reach = reachOf(this.#store.config, instanceId);
    if (reach.kind !== 'reach') throw new CloudUnavailable(reach);
    const { account } = reach;
    const { cas = [], except = [] } = selectors;
    const question = {
      instanceId,
      cas,
      selectors: selectorsOf(selectors),
      asked: '',
      nowMs: Date.now(),
      from: undefined,
      keep: () => Promise.resolve(),
    };
    const end = yield* rowsOf(this.#closing.signal, (sink, signal) =>
      this.#noted(inventoryOf(this.#store, account, { ...question, except: each(except), sink }, signal)),
    );
    if (end.kind !== 'done') throw new CloudUnavailable({ ...end, account: account.name });
    tell(end.inventory);
    return undefined;
  }

  #sourceOf(source: Parameters<Fleet['plan']>[0]): PlanSource {
    if (Symbol.iterator in source || Symbol.asyncIterator in source)
      return { kind: 'manifest', rows: rowsOfObjects(source), manifestSha256: () => null };
    const { instanceId, cas = [], except = [] } = source;
    const reach = reachOf(this.#store.config, instanceId);
    if (reach.kind !== 'reach') throw new CloudUnavailable(reach);
    return { kind: 'selection', instanceId, cas, selectors: selectorsOf(source), except: each(except) };
  }
}

async function* each<T>(all: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  yield* all;
}

/** @throws RangeError */
function must(name: string, value: number, isRight: boolean, what: string): void {
  if (!isRight) throw new RangeError(`${name} is ${value}: give ${what}`);
}

/** @throws TypeError where a PEM has no certificate, RangeError where a time is none */
function selectorsOf({ status, expiredForMs, expiresWithinMs, names, pems }: InventorySelectors): Selectors {
  for (const [name, ms = 0] of Object.entries({ expiredForMs, expiresWithinMs }))
    must(name, ms, ms >= 0, 'milliseconds, from 0');
  return {
    status,
    expiredForMs,
    expiresWithinMs,
    names: names === undefined ? undefined : [...new Set(names)],
    pems: pems === undefined ? undefined : pems.flatMap(wantedOf),
  };
}

function wantedOf(text: string, index: number): WantedPem[] {
  const wanted = wantedIn(`PEM ${index + 1}`, text);
  if (typeof wanted === 'string') throw new TypeError(wanted);
  return wanted;
}
