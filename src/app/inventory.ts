import { stat } from 'node:fs/promises';
import { partsOf, readCheckpoint, writeCheckpoint, type Checkpoint } from '../inventory/checkpoint.ts';
import { takeInventory, type InventoryEnd, type InventoryParts } from '../inventory/inventory.ts';
import { ReadDesk } from '../inventory/reads.ts';
import { openLimiter } from '../limiter/limiter.ts';
import type { Limiter } from '../limiter/contract.ts';
import { openReadingClient, type ReadingClient } from '../inventory/reading-client.ts';
import { credentialsOf } from '../queue/worker/worker.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
import { overview } from './overview.ts';
import type { OpenStore, Store } from './store.ts';

export type { Inventory, InventoryEnd } from '../inventory/inventory.ts';
export { wantedIn, type WantedPem } from '../inventory/pem.ts';
export { headOf, type InventoryFormat } from '../inventory/row.ts';
export type { Selectors as InventorySelectors } from '../inventory/selection.ts';
export { fileSink, NO_SINK, streamSink, writtenBefore } from '../inventory/sink.ts';

/** What is asked for; see `InventoryParts`. */
export type InventoryRequest = Omit<InventoryParts, 'desk' | 'client'>;

/** Between two looks whether a batch is running, milliseconds. */
const LOOK_EVERY_MS = 1_000;
/** Of the pace, for all readers together, while a batch is running. */
const QUARTER = 4;

/**
 * What an earlier run has left beside the file: `none` that can be gone on with, or one for which `another` question was asked.
 */
export async function unfinished(out: string, asked: string): Promise<Checkpoint | 'none' | 'another'> {
  const { part, progress } = partsOf(out);
  const checkpoint = await readCheckpoint(progress);
  const size = (await stat(part).catch(() => undefined))?.size ?? 0;
  if (checkpoint === undefined || size < checkpoint.bytes) return 'none';
  return checkpoint.asked === asked ? checkpoint : 'another';
}

/** Keeps how far the inventory of this file has come. */
export function keeperOf(out: string): (checkpoint: Checkpoint) => Promise<void> {
  return (checkpoint) => writeCheckpoint(partsOf(out).progress, checkpoint);
}

/**
 * Takes an inventory with slots of the limiter, as every call has.
 * @param signal - ends it: what there is stays
 * @throws ScratchUnavailable, and what the sink throws
 */
export async function inventoryOf(
  store: OpenStore,
  account: AccountConfig,
  request: InventoryRequest,
  signal: AbortSignal,
): Promise<InventoryEnd> {
  return reading(store, account, signal, (reader) => takeInventory({ ...request, ...reader }));
}

/**
 * Reads an account with slots of the limiter, and closes everything again.
 * @param signal - ends it: reads are answered with `closed`
 * @throws what the work throws
 */
export async function reading<T>(
  store: OpenStore,
  account: AccountConfig,
  signal: AbortSignal,
  work: (reader: { readonly desk: ReadDesk; readonly client: ReadingClient }) => Promise<T>,
): Promise<T> {
  const { config, prefix } = store;
  const { egress, limiter, retry } = config;
  // The limiter wants a connection that rides out an outage.
  const redis = store.another('worker');
  const open = (name: string, accountQps: number, id: string, egressQps: number): Limiter =>
    openLimiter({
      redis,
      prefix,
      account: { name, qps: accountQps },
      egress: { id, qps: egressQps },
      lateMs: limiter.lateMs,
    });
  const slots = open(account.name, account.qps, egress.id, egress.qps);
  let quarter: Limiter | undefined;
  const openQuarter = (): Limiter =>
    (quarter ??= open(`reads:${account.name}`, quarterOf(account.qps), `reads:${egress.id}`, quarterOf(egress.qps)));
  const credentials = credentialsOf(account, environment);
  const client = openReadingClient(account.endpoint, credentials, config);
  const busy = await watchBatches(store);
  const stop = (): void => {
    void slots.close();
    void quarter?.close();
  };
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const desk = new ReadDesk({
    slots,
    quarter: openQuarter,
    isBusy: () => busy.isBusy,
    policy: retry,
    refreshCredentials: () => credentials.invalidate(),
  });
  try {
    return await work({ desk, client });
  } finally {
    signal.removeEventListener('abort', stop);
    busy.stop();
    await slots.close();
    await quarter?.close();
    client.close();
  }
}

function quarterOf(qps: number): number {
  return Math.max(1, Math.floor(qps / QUARTER));
}

/** Looks again and again whether a batch is running; where Redis does not say, it may be. */
async function watchBatches({ redis, prefix, ledger }: Store): Promise<{ readonly isBusy: boolean; stop(): void }> {
  let isBusy = true;
  const look = async (): Promise<void> => {
    try {
      const { batches } = await overview(redis, prefix, ledger);
      isBusy = batches.some(({ state, pending }) => state === 'running' && pending > 0);
    } catch {
      isBusy = true;
    }
  };
  await look();
  const timer = setInterval(() => void look(), LOOK_EVERY_MS).unref();
  return {
    get isBusy() {
      return isBusy;
    },
    stop: () => clearInterval(timer),
  };
}
