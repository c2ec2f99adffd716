import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import type { Certificate } from '../core/certificate.ts';
import { printable } from '../core/printable.ts';
import { reportRows } from '../ledger/report.ts';
import { DuplicateDetector } from '../manifest/duplicate-detector.ts';
import { readManifest } from '../manifest/read-manifest.ts';
import type { ManifestRow } from '../manifest/row.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import type { RunEnd } from '../schedule/run.ts';
import { ScheduleStore } from '../schedule/schedule-store.ts';
import { reachOf } from './accounts.ts';
import { inventoryOf, textSink, type Inventory, type InventoryEnd } from './inventory.ts';
import { exceptedIn, namesIn } from './selector-files.ts';
import type { OpenStore } from './store.ts';

/** What a schedule selects now, as a manifest; or why its run ends here. */
export type Selection =
  | {
      readonly kind: 'selected';
      readonly certificates: number;
      /** Its order changed while it was read. */
      readonly isMoved: boolean;
      /** Some of it was not seen. */
      readonly isShort: boolean;
      readonly rows: () => AsyncIterable<readonly ManifestRow[]>;
      readonly manifestSha256: () => string;
    }
  | RunEnd;

interface SelectOptions {
  readonly signal: AbortSignal;
  readonly nowMs: number;
}

/** Writes what the rule selects to the file. */
export async function writeSelection(
  store: OpenStore,
  rule: ScheduleConfig,
  manifest: string,
  options: SelectOptions,
): Promise<Selection> {
  const { returnedFrom } = rule.select;
  const hash = createHash('sha256');
  const file = await open(manifest, 'w', 0o600);
  const write = async (text: string): Promise<void> => {
    hash.update(text);
    await file.appendFile(text);
  };
  try {
    const found =
      returnedFrom === undefined
        ? await takeInventories(store, rule, write, options)
        : await removedBy(store, rule, returnedFrom, write);
    if ('kind' in found) return found;
    const rows = (): AsyncIterable<readonly ManifestRow[]> =>
      readManifest(createReadStream(manifest), { format: 'ndjson' });
    return { kind: 'selected', ...found, rows, manifestSha256: () => hash.digest('hex') };
  } finally {
    await file.close();
  }
}

type Found = Pick<Extract<Selection, { kind: 'selected' }>, 'certificates' | 'isMoved' | 'isShort'>;
type Write = (text: string) => Promise<void>;

async function takeInventories(
  store: OpenStore,
  rule: ScheduleConfig,
  write: Write,
  options: SelectOptions,
): Promise<Found | RunEnd> {
  const schedules = new ScheduleStore(store.ledger);
  const before = await schedules.find(rule.name);
  const listed: Record<string, number> = {};
  const found = { certificates: 0, isMoved: false, isShort: false };
  const selectors = await selectorsOf(rule);
  for (const instanceId of rule.instances) {
    const reach = reachOf(store.config, instanceId);
    if (reach.kind === 'no-account') return failed(`no account has the instance ${printable(instanceId)}`);
    if (reach.kind === 'no-key')
      return failed(`${reach.variable} is not set: account ${reach.account} needs it for its key`);
    const seen = new DuplicateDetector();
    let distinct = 0;
    try {
      const end = await inventoryOf(
        store,
        reach.account,
        {
          instanceId,
          cas: rule.select.cas,
          selectors,
          asked: '',
          nowMs: options.nowMs,
          from: undefined,
          except: exceptOf(rule, instanceId),
          sink: textSink('ndjson', write),
          watch({ caSn, deviceSn }) {
            if (seen.add({ instanceId, caSn, deviceSn })) distinct += 1;
          },
          keep: () => Promise.resolve(),
        },
        options.signal,
      );
      if (end.kind !== 'done') return stopped(end, reach.account.name);
      const { inventory } = end;
      const key = [instanceId, ...rule.select.cas].join(' ');
      listed[key] = inventory.listed;
      if (inventory.listed === 0 && (before.listed[key] ?? 0) > 0)
        return failed(
          `the listing of ${printable(instanceId)} is empty, and had ${before.listed[key]} certificates in the last run`,
        );
      add(found, inventory, distinct);
    } finally {
      seen.close();
    }
  }
  if (!found.isShort) await schedules.keepListed(rule.name, listed);
  return found;
}

/** Where the order changed, places were read twice, and what stood there before was not: fewer were seen than there are. */
function add(
  found: { certificates: number; isMoved: boolean; isShort: boolean },
  inventory: Inventory,
  distinct: number,
): void {
  const isMoved = inventory.state === 'moved';
  found.certificates += inventory.certificates;
  found.isMoved ||= isMoved;
  found.isShort ||= inventory.isCutShort || (isMoved && distinct < inventory.listed);
}

async function selectorsOf({ select }: ScheduleConfig): Promise<Parameters<typeof inventoryOf>[2]['selectors']> {
  const { status, expiredForMs, names } = select;
  const wanted = names === undefined ? undefined : namesIn(await readFile(names, 'utf8'));
  if (wanted?.length === 0) throw new Error(`names ${names ?? ''} has no name`);
  return { status, expiredForMs, names: wanted };
}

/** Whatever is wrong with the file, nothing may be done without it. */
async function* exceptOf(
  { except, select }: ScheduleConfig,
  instanceId: string,
): AsyncGenerator<Certificate, void, undefined> {
  if (except === undefined) return;
  try {
    yield* exceptedIn(except, instanceId, select.cas);
  } catch (error) {
    throw new Error(`except ${except} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** What the batch removed; which of it is registered again, the plan finds out. */
async function removedBy(store: OpenStore, rule: ScheduleConfig, batch: string, write: Write): Promise<Found | RunEnd> {
  const { ledger } = store;
  if ((await ledger.batches.find(batch)) === undefined)
    return failed(`there is no batch ${printable(batch)} (returnedFrom)`);
  const known = new DuplicateDetector();
  let certificates = 0;
  try {
    for (const instanceId of rule.instances) for await (const one of exceptOf(rule, instanceId)) known.add(one);
    for await (const { instanceId, caSn, deviceSn, outcome } of reportRows(ledger, batch)) {
      if (outcome === 'dead' || outcome === 'cancelled' || !rule.instances.includes(instanceId)) continue;
      if (!known.add({ instanceId, caSn, deviceSn })) continue;
      certificates += 1;
      await write(`${JSON.stringify({ instanceId, caSn, deviceSn })}\n`);
    }
  } finally {
    known.close();
  }
  return { certificates, isMoved: false, isShort: false };
}

function stopped(end: Exclude<InventoryEnd, { kind: 'done' }>, account: string): RunEnd {
  if (end.kind === 'closed') return { kind: 'left' };
  const what = end.kind === 'halted' ? `account ${account} is halted` : `a read of account ${account} was refused`;
  return failed(`${what} (${end.code}: ${printable(end.message)})`);
}

function failed(reason: string): RunEnd {
  return { kind: 'failed', reason };
}
