import type { Certificate } from '../core/certificate.ts';
import type { RegisteredDevice } from '../core/registered.ts';
import { WALK_START, type WalkState } from '../core/walk.ts';
import { DuplicateDetector } from '../manifest/duplicate-detector.ts';
import type { MqttClient } from '../mqtt/client.ts';
import { KEPT_WINDOWS, type Checkpoint } from './checkpoint.ts';
import { listingOfDevices } from './listings.ts';
import { walkPages, type Page } from './pages.ts';
import { eachOnce } from './pem.ts';
import type { ReadDesk, ReadEnd } from './reads.ts';
import { toRow, type InventoryRow } from './row.ts';
import { Selection, type Selectors } from './selection.ts';
import type { Sink } from './sink.ts';

export interface InventoryParts {
  readonly instanceId: string;
  /** None: all of the instance. */
  readonly cas: readonly string[];
  readonly selectors: Selectors;
  /** Are not in the inventory: those to leave out, and those that an earlier run has written. */
  readonly except: AsyncIterable<Certificate>;
  /** Stands for everything that was asked for. */
  readonly asked: string;
  /** Unix milliseconds. */
  readonly nowMs: number;
  readonly from: Checkpoint | undefined;
  readonly sink: Sink;
  /** Hears of each certificate of the listing, selected or not, and of some several times. */
  readonly watch?: (device: RegisteredDevice) => void;
  readonly keep: (checkpoint: Checkpoint) => Promise<void>;
  readonly desk: ReadDesk;
  readonly client: Pick<MqttClient, 'listDeviceCertificates'>;
}

/** What an inventory found. */
export interface Inventory {
  readonly certificates: number;
  /** `moved`: the order of the listing changed meanwhile, so certificates may have been missed. */
  readonly state: 'stable' | 'moved';
  readonly stepsBack: number;
  readonly calls: number;
  /** Rows of the listing that no manifest can hold. */
  readonly unreadable: number;
  /** Rows that the listings had, selected or not: the place where each ended. Of an inventory that went on from a checkpoint, its own listings only. */
  readonly listed: number;
  /** A listing ended before its own total says so. */
  readonly isCutShort: boolean;
  /** Names and PEMs that no certificate has, and PEMs whose number several have. */
  readonly notFound: readonly string[];
  readonly ambiguous: readonly string[];
}

export type InventoryEnd =
  | { readonly kind: 'done'; readonly inventory: Inventory }
  | Exclude<ReadEnd<never>, { kind: 'read' }>;

const KEEP_EVERY_MS = 1_000;

/**
 * Walks over the listings and writes what is selected, in memory that does not grow with them but by the digests of what was written.
 * @throws ScratchUnavailable, and what the sink throws
 */
export async function takeInventory(parts: InventoryParts): Promise<InventoryEnd> {
  const seen = new DuplicateDetector();
  try {
    for await (const certificate of parts.except) seen.add(certificate);
    const end = await new InventoryRun(eachAskedOnce(parts), seen).run();
    if (end.kind === 'done') await parts.sink.finish();
    return end;
  } finally {
    seen.close();
    await parts.sink.close().catch(() => undefined);
  }
}

/** A CA that is named twice is walked over once, and a PEM that is given twice is looked for once. */
function eachAskedOnce(parts: InventoryParts): InventoryParts {
  const { cas, selectors } = parts;
  const { pems } = selectors;
  return { ...parts, cas: [...new Set(cas)], selectors: { ...selectors, pems: pems && eachOnce(pems) } };
}

class InventoryRun {
  readonly #parts: InventoryParts;
  readonly #seen: DuplicateDetector;
  readonly #selection: Selection;
  readonly #startedMs: number;
  readonly #maybe: { pems: readonly number[]; row: InventoryRow }[];
  #certificates: number;
  #unreadable: number;
  #listing: number;
  /** Of the listings before this one. */
  #before: Pick<WalkState, 'stepsBack' | 'isMoved'>;
  #keptMs = performance.now();
  #listed = 0;
  #isCutShort: boolean;

  constructor(parts: InventoryParts, seen: DuplicateDetector) {
    const { from, selectors, nowMs } = parts;
    this.#parts = parts;
    this.#seen = seen;
    this.#startedMs = from?.startedMs ?? nowMs;
    this.#selection = new Selection(selectors, this.#startedMs, { names: from?.names ?? [], pems: from?.pems ?? [] });
    this.#maybe = [...(from?.maybe ?? [])];
    this.#certificates = from?.certificates ?? 0;
    this.#unreadable = from?.unreadable ?? 0;
    this.#listing = from?.listing ?? 0;
    this.#before = from ?? WALK_START;
    this.#isCutShort = from?.isCutShort ?? false;
  }

  async run(): Promise<InventoryEnd> {
    const { instanceId, cas, selectors, desk, client, from } = this.#parts;
    const listings = cas.length === 0 ? [undefined] : cas;
    let start = from?.walk ?? WALK_START;
    for (const caSn of listings.slice(this.#listing)) {
      const end = await walkPages({
        desk,
        listing: listingOfDevices(client, instanceId, caSn, selectors.pems === undefined ? 'dropped' : 'kept'),
        from: start,
        take: (page, state) => this.#take(page, state),
      });
      if (end.kind !== 'walked') return end;
      const { stepsBack, isMoved } = this.#before;
      this.#before = { stepsBack: stepsBack + end.state.stepsBack, isMoved: isMoved || end.state.isMoved };
      this.#listed += end.state.end;
      this.#isCutShort ||= end.isCutShort;
      this.#listing += 1;
      start = WALK_START;
    }
    return { kind: 'done', inventory: await this.#conclude() };
  }

  async #take({ found, unreadable }: Page<RegisteredDevice>, state: () => WalkState): Promise<void> {
    const { instanceId, sink, watch } = this.#parts;
    const rows: InventoryRow[] = [];
    this.#unreadable += unreadable;
    for (const device of found) {
      watch?.(device);
      const selected = this.#selection.judge(device);
      if (selected.kind === 'no' || !this.#isNew(device)) continue;
      const row = toRow(instanceId, device);
      if (selected.kind === 'maybe') this.#maybe.push({ pems: selected.pems, row });
      else {
        rows.push(row);
        this.#certificates += 1;
      }
    }
    if (rows.length > 0) await sink.write(rows);
    await this.#keepSometimes(state);
  }

  #isNew({ caSn, deviceSn }: Pick<Certificate, 'caSn' | 'deviceSn'>): boolean {
    return this.#seen.add({ instanceId: this.#parts.instanceId, caSn, deviceSn });
  }

  async #keepSometimes(state: () => WalkState): Promise<void> {
    const { sink, keep, asked, desk, from } = this.#parts;
    const nowMs = performance.now();
    if (nowMs - this.#keptMs < KEEP_EVERY_MS) return;
    this.#keptMs = nowMs;
    const written = sink.written();
    if (written === undefined) return;
    const walk = state();
    await keep({
      version: 1,
      asked,
      startedMs: this.#startedMs,
      listing: this.#listing,
      walk: { ...walk, recent: walk.recent.slice(-KEPT_WINDOWS).map((keys) => [...keys]) },
      written,
      certificates: this.#certificates,
      unreadable: this.#unreadable,
      calls: (from?.calls ?? 0) + desk.calls,
      stepsBack: this.#before.stepsBack,
      isMoved: this.#before.isMoved,
      isCutShort: this.#isCutShort,
      names: [...this.#selection.foundNames],
      pems: [...this.#selection.foundPems],
      maybe: this.#maybe.map(({ pems, row }) => ({ pems: [...pems], row })),
    });
  }

  /**
   * A PEM that was found by nothing but its number is found where one certificate has it, and no other PEM fits that one. It is in doubt where several
   * do, or the one may be another PEM's.
   */
  async #conclude(): Promise<Inventory> {
    const { selectors, sink, desk, from } = this.#parts;
    const { names = [], pems = [] } = selectors;
    const { foundNames, foundPems } = this.#selection;
    const notFound = names.filter((_, at) => !foundNames.has(at)).map((name) => `name ${name}`);
    const ambiguous: string[] = [];
    for (const [at, { where }] of pems.entries()) {
      if (foundPems.has(at)) continue;
      const like = this.#maybe.filter(({ pems: those }) => those.includes(at));
      const [only] = like;
      if (only === undefined) notFound.push(where);
      else if (like.length > 1 || only.pems.length > 1) ambiguous.push(where);
      else {
        await sink.write([only.row]);
        this.#certificates += 1;
      }
    }
    return {
      certificates: this.#certificates,
      state: this.#before.isMoved ? 'moved' : 'stable',
      stepsBack: this.#before.stepsBack,
      calls: (from?.calls ?? 0) + desk.calls,
      unreadable: this.#unreadable,
      listed: this.#listed,
      isCutShort: this.#isCutShort,
      notFound,
      ambiguous,
    };
  }
}
