import { stat } from 'node:fs/promises';
import { partsOf, readCheckpoint, writeCheckpoint, type Checkpoint } from '../inventory/checkpoint.ts';
import { takeInventory, type InventoryEnd, type InventoryParts } from '../inventory/inventory.ts';
import { openReadingClient } from '../inventory/clients.ts';
import { isIntact } from '../inventory/sink.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { withCloud } from './cloud.ts';
import type { OpenStore } from './store.ts';

export type { Inventory, InventoryEnd } from '../inventory/inventory.ts';
export { wantedIn, type WantedPem } from '../inventory/pem.ts';
export type { InventoryFormat } from '../inventory/row.ts';
export type { Selectors as InventorySelectors } from '../inventory/selection.ts';
export { fileSink, NO_SINK, textSink, writtenBefore } from '../inventory/sink.ts';

/** What is asked for; see `InventoryParts`. */
export type InventoryRequest = Omit<InventoryParts, 'desk' | 'client'>;

/**
 * What an earlier run has left beside the file. `none`: nothing that can be continued, for example because somebody edited it. `another`: the
 * earlier run had other options.
 */
export async function unfinished(out: string, asked: string): Promise<Checkpoint | 'none' | 'another'> {
  const { part, progress } = partsOf(out);
  const checkpoint = await readCheckpoint(progress);
  const size = (await stat(part).catch(() => undefined))?.size ?? 0;
  if (checkpoint === undefined || size < checkpoint.written.bytes) return 'none';
  if (checkpoint.asked !== asked) return 'another';
  return (await isIntact(out, checkpoint.written)) ? checkpoint : 'none';
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
  return withCloud(store, account, { openClient: openReadingClient, signal }, ({ desk, client }) =>
    takeInventory({ ...request, desk, client }),
  );
}
