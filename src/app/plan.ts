import type { PlannedAction } from '../core/action.ts';
import { describeWarning } from '../core/plan-warning.ts';
import { obstaclesOf, type PlanCaps, type PlanObstacle } from '../core/plan.ts';
import type { RegisteredStatus } from '../core/registered.ts';
import { takeInventory, type InventoryParts } from '../inventory/inventory.ts';
import { openReadingClient, type ReadingClient } from '../inventory/clients.ts';
import type { ReadEnd } from '../inventory/reads.ts';
import { planUse } from '../ledger/plan-use.ts';
import type { ManifestRow } from '../manifest/row.ts';
import { drawPlan, plannedOf, type Drawing } from '../plan/draw-plan.ts';
import { releasePlanFile, reservePlanFile, withId, writePlanFile, type PlanHeader } from '../plan/plan-file.ts';
import { readCas, seeInstance } from '../plan/read-instance.ts';
import { RegisteredCounts } from '../plan/registered-counts.ts';
import { WantedManifest, WantedSelection, type Wanted } from '../plan/wanted.ts';
import { ManifestSummarizer, type InstanceShare, type ManifestSummary } from '../queue/submit/manifest-summary.ts';
import { accountOf, missingCredentials, type AccountConfig } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
import { ownerIn } from './accounts.ts';
import { withCloud, type Cloud } from './cloud.ts';
import type { PlanReport } from './plan-report.ts';
import type { OpenStore } from './store.ts';

export { wantedIn } from '../inventory/pem.ts';
export type { CaShare, PlanObstacle } from '../core/plan.ts';
export type { PlanReport } from './plan-report.ts';

/** The certificates to plan for. */
export type PlanSource =
  | {
      readonly kind: 'manifest';
      readonly rows: AsyncIterable<readonly ManifestRow[]>;
      /** Asked once the manifest is read whole: the SHA-256 of its bytes, in hex; null where there are none. */
      readonly manifestSha256: () => string | null;
    }
  /** Those that an inventory would select. */
  | ({ readonly kind: 'selection' } & Pick<InventoryParts, 'instanceId' | 'cas' | 'selectors' | 'except'>);

export interface PlanRequest {
  readonly source: PlanSource;
  readonly action: PlannedAction;
  readonly caps: PlanCaps;
  /** Where the plan file is written; without it, none is. */
  readonly out?: string;
}

type Stopped = Exclude<ReadEnd<never>, { kind: 'read' }> & { readonly account: string };

/** How planning ends. Only after `planned` may there be a plan file. */
export type PlanEnd =
  | { readonly kind: 'planned'; readonly report: PlanReport }
  | { readonly kind: 'obstructed'; readonly report: PlanReport; readonly obstacles: readonly PlanObstacle[] }
  | { readonly kind: 'bad-rows'; readonly summary: ManifestSummary }
  | { readonly kind: 'no-key'; readonly account: string; readonly variable: string }
  | Stopped;

/**
 * Holds certificates against the live inventory. Changes nothing in the cloud.
 * @param signal - ends it: no plan is written
 * @throws ScratchUnavailable, what the reader of the manifest throws, and the system's error where the file cannot be written
 */
export async function planOf(store: OpenStore, request: PlanRequest, signal: AbortSignal): Promise<PlanEnd> {
  const { out } = request;
  if (out !== undefined) await reservePlanFile(out);
  try {
    return await new Planning(store, request, signal).run();
  } finally {
    if (out !== undefined) await releasePlanFile(out);
  }
}

class Planning {
  readonly #store: OpenStore;
  readonly #request: PlanRequest;
  readonly #signal: AbortSignal;
  readonly #registered = new RegisteredCounts();
  readonly #caStatuses = new Map<string, ReadonlyMap<string, RegisteredStatus>>();
  #isMoved = false;
  #isCutShort = false;
  #unreadable = 0;
  #notFound: readonly string[] = [];
  #ambiguous: readonly string[] = [];

  constructor(store: OpenStore, request: PlanRequest, signal: AbortSignal) {
    this.#store = store;
    this.#request = request;
    this.#signal = signal;
  }

  async run(): Promise<PlanEnd> {
    const { source } = this.#request;
    try {
      return source.kind === 'manifest' ? await this.#manifest(source) : await this.#selection(source);
    } finally {
      this.#registered.close();
    }
  }

  async #manifest({ rows, manifestSha256 }: PlanSource & { kind: 'manifest' }): Promise<PlanEnd> {
    const wanted = new WantedManifest();
    try {
      const summarizer = new ManifestSummarizer(ownerIn(this.#store.config), wanted);
      for await (const batch of rows) for (const row of batch) summarizer.add(row);
      const { summary } = summarizer;
      if (summary.rejected > 0) return { kind: 'bad-rows', summary };
      const { nowMs } = await planUse(this.#store.ledger);
      for (const { instanceId } of summary.instances) {
        const end = await this.#see(instanceId, wanted);
        if (end !== undefined) return end;
      }
      return await this.#conclude(wanted, nowMs, manifestSha256());
    } finally {
      wanted.close();
    }
  }

  async #selection({ instanceId, ...selected }: PlanSource & { kind: 'selection' }): Promise<PlanEnd> {
    const { config, ledger } = this.#store;
    const account = accountOf(config, instanceId);
    // The caller has checked it: it has one.
    if (account === undefined) throw new Error(`no account has the instance ${JSON.stringify(instanceId)}`);
    const wanted = new WantedSelection();
    try {
      const { nowMs } = await planUse(ledger);
      const end = await this.#read(account, async (reader) => {
        const taken = await takeInventory({
          ...reader,
          ...selected,
          instanceId,
          asked: '',
          nowMs,
          from: undefined,
          sink: wanted.sink,
          watch: (device) => this.#registered.see(instanceId, device),
          keep: () => Promise.resolve(),
        });
        if (taken.kind !== 'done') return taken;
        const { state, isCutShort, unreadable, notFound, ambiguous } = taken.inventory;
        this.#isMoved = state === 'moved';
        this.#isCutShort = isCutShort;
        this.#unreadable = unreadable;
        this.#notFound = notFound;
        this.#ambiguous = ambiguous;
        const cas = await readCas(reader, instanceId);
        if (cas.kind !== 'read') return cas;
        this.#caStatuses.set(instanceId, cas.data);
        return undefined;
      });
      return end ?? (await this.#conclude(wanted, nowMs, null));
    } finally {
      wanted.close();
    }
  }

  /** Shows all of an instance to what is wanted. @returns why it could not */
  async #see(instanceId: string, wanted: Wanted): Promise<Exclude<PlanEnd, { report: unknown }> | undefined> {
    const account = accountOf(this.#store.config, instanceId);
    if (account === undefined) throw new Error(`no account has the instance ${JSON.stringify(instanceId)}`);
    return this.#read(account, async (reader) => {
      const end = await seeInstance(reader, instanceId, (device) => {
        const seen = wanted.see(instanceId, device);
        if (seen === 'first') this.#registered.count(instanceId, device.caSn);
        else if (seen === 'unwanted') this.#registered.see(instanceId, device);
      });
      if (end.kind !== 'seen') return end;
      this.#isMoved ||= end.isMoved;
      this.#isCutShort ||= end.isCutShort;
      this.#unreadable += end.unreadable;
      const cas = await readCas(reader, instanceId);
      if (cas.kind !== 'read') return cas;
      this.#caStatuses.set(instanceId, cas.data);
      return undefined;
    });
  }

  async #read(
    account: AccountConfig,
    work: (reader: Cloud<ReadingClient>) => Promise<Exclude<ReadEnd<never>, { kind: 'read' }> | undefined>,
  ): Promise<Exclude<PlanEnd, { report: unknown }> | undefined> {
    const { name } = account;
    const [variable] = missingCredentials(account, environment);
    if (variable !== undefined) return { kind: 'no-key', account: name, variable };
    const options = { openClient: openReadingClient, signal: this.#signal };
    const end = await withCloud(this.#store, account, options, work);
    return end === undefined ? undefined : { ...end, account: name };
  }

  async #conclude(wanted: Wanted, atMs: number, manifestSha256: string | null): Promise<PlanEnd> {
    const { action, caps, out } = this.#request;
    const state = this.#isMoved ? 'moved' : 'stable';
    const notes = { state, isCutShort: this.#isCutShort, unreadable: this.#unreadable } as const;
    const drawing = drawPlan(action, wanted, this.#registered, this.#caStatuses, notes);
    const instances = this.#sharesOf(drawing);
    const { certificates, classes, cas, warnings } = drawing;
    const report = {
      plan: null,
      action,
      certificates,
      classes,
      cas,
      instances,
      calls: certificates,
      warnings: warnings.map(describeWarning),
      notFound: this.#notFound,
      ambiguous: this.#ambiguous,
    } as const;
    const obstacles = obstaclesOf(cas, caps);
    if (obstacles.length > 0) return { kind: 'obstructed', report, obstacles };
    if (out === undefined) return { kind: 'planned', report };
    const header = withId({
      version: 1,
      action,
      accounts: this.#accountsOf(instances),
      instances: instances.map(({ instanceId, account, items }) => ({ instanceId, account, certificates: items })),
      certificates,
      classes,
      inventory: { atMs, state },
      manifestSha256,
      sha256: drawing.sha256,
    });
    await writePlanFile(out, header, () => plannedOf(wanted));
    return { kind: 'planned', report: { ...report, plan: header.id } };
  }

  #sharesOf({ byInstance }: Drawing): InstanceShare[] {
    const ownerOf = ownerIn(this.#store.config);
    return [...byInstance].map(([instanceId, items]) => ({ account: ownerOf(instanceId) ?? '', instanceId, items }));
  }

  #accountsOf(instances: readonly InstanceShare[]): PlanHeader['accounts'] {
    const names = new Set(instances.map(({ account }) => account));
    return this.#store.config.accounts
      .filter(({ name }) => names.has(name))
      .map(({ name, endpoint }) => ({ name, endpoint }));
  }
}
