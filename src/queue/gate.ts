import type { BatchStates } from './batch-states.ts';
import { queueName } from './contract.ts';
import { correct, type Endings } from './endings.ts';
import type { Item } from './item.ts';
import type { JobWait } from './job-wait.ts';

export interface GateParts {
  readonly endings: Endings;
  readonly states: BatchStates;
  /** Whether the account's configuration names the instance. */
  readonly owns: (instanceId: string) => boolean;
  /** The account to which the configuration gives the instance. */
  readonly ownerOf: (instanceId: string) => string | undefined;
  readonly tell: (event: UnownedEvent) => void;
}

/** Told once: jobs wait for an account that has the instance. */
export interface UnownedEvent {
  readonly kind: 'unowned';
  readonly instanceId: string;
}

/** How long a job of a paused batch waits before it looks again; spread, so that they do not come back as one. */
const PAUSED_MS = 5_000;
/** A job whose instance no account of this configuration has may be known to another worker, after a change of configuration. */
const NOT_OURS_MS = 5_000;

/** What an item passes before its wait for a slot, and again before its call. */
export function createGate(parts: GateParts): (item: Item, wait: JobWait) => Promise<Item | undefined> {
  const { endings, states, owns, ownerOf, tell } = parts;
  const unowned = new Set<string>();
  return passGate;

  /**
   * Whether a call may be made for the item now; settles it as cancelled when its batch is.
   * @returns the item as it is now known; undefined where it is settled
   */
  async function passGate(item: Item, wait: JobWait): Promise<Item | undefined> {
    if (!owns(item.certificate.instanceId)) return passOn(item, wait);
    const gate = await states.of(item.batch);
    if (gate?.state === 'paused') return wait.snooze(item, PAUSED_MS);
    if (gate?.state !== 'cancelled' || (wait.departed && item.attempt.effectUnknown)) return item;
    // An item whose call may be on its way, or may have worked, is followed to its end: cancelling it would hide a deletion. The ledger knows.
    // Calls that were refused changed nothing.
    const ended = await endings.settle(item, wait, { outcome: 'cancelled', code: '', requestId: '' });
    if (ended === 'ended') return undefined;
    const known = correct(item, wait, ended);
    // With nothing behind it, it can be cancelled after all.
    return ended === 'none' ? passGate(known, wait) : known;
  }

  /** The instance is not this account's, or not any more. @returns undefined where the job has nothing more to do */
  async function passOn(item: Item, wait: JobWait): Promise<undefined> {
    const { instanceId } = item.certificate;
    const owner = ownerOf(instanceId);
    if (item.adoptedFrom !== undefined) {
      const message =
        owner === undefined
          ? `no account of this configuration has the instance ${instanceId}: add it under accounts.<name>.instances, then retry the dead letter`
          : `the instance ${instanceId} belongs to account ${owner}, and the job was in another one's queue: add it to ${queueName(owner)}, then discard the dead letter`;
      await endings.endDead(item, wait, { code: 'unknown-instance', message });
      return undefined;
    }
    // The owner's feeder finds the item without a job, and gives it one in its own queue. That a call may have left is in the ledger.
    if (owner !== undefined) return undefined;
    if (!unowned.has(instanceId)) tell({ kind: 'unowned', instanceId });
    unowned.add(instanceId);
    return wait.snooze(item, NOT_OURS_MS);
  }
}
