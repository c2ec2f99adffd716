import type { Answer } from '../core/answer.ts';
import { makeChange, type ChangeEnd } from '../inventory/changes.ts';
import type { OpenClient } from '../inventory/clients.ts';
import { ReadDesk, type ReadEnd } from '../inventory/reads.ts';
import { openLimiter } from '../limiter/limiter.ts';
import type { Limiter } from '../limiter/contract.ts';
import { credentialsOf } from '../queue/worker/credentials.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
import { overview } from './overview.ts';
import type { OpenStore, Store } from './store.ts';

/** Between two reads whether a batch is running, milliseconds. */
const POLL_EVERY_MS = 1_000;
/** Of the pace, for all readers together, while a batch is running. */
const QUARTER = 4;

/** Why the cloud was not, or no longer, asked. */
export type CloudStop = Exclude<ReadEnd<never>, { kind: 'read' }>;

/** An account's API, asked from here and not by a worker. */
export interface Cloud<Client> {
  readonly desk: ReadDesk;
  readonly client: Client;
  /** Makes a call that changes something. */
  change(call: (notAfterMs: number) => Promise<Answer>): Promise<ChangeEnd>;
}

/**
 * Asks the API of an account with slots of the limiter, as every call has.
 * @param signal - ends it: who waits for a slot gets `closed`
 */
export async function withCloud<Client extends { close(): void }, T>(
  store: OpenStore,
  account: AccountConfig,
  { openClient, signal }: { readonly openClient: OpenClient<Client>; readonly signal: AbortSignal },
  work: (cloud: Cloud<Client>) => Promise<T>,
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
  const client = openClient(account.endpoint, credentials, config);
  const busy = await watchBatches(store);
  const stop = (): void => {
    void slots.close();
    void quarter?.close();
  };
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const calls = { slots, policy: retry, refreshCredentials: () => credentials.invalidate() };
  const desk = new ReadDesk({ ...calls, quarter: openQuarter, isBusy: () => busy.isBusy });
  try {
    return await work({ desk, client, change: (call) => makeChange(calls, call) });
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

/** Reads again and again whether a batch is running; where Redis does not say, it may be. */
async function watchBatches({ redis, prefix, ledger }: Store): Promise<{ readonly isBusy: boolean; stop(): void }> {
  let isBusy = true;
  const poll = async (): Promise<void> => {
    try {
      const { batches } = await overview(redis, prefix, ledger);
      isBusy = batches.some(({ state, pending }) => state === 'running' && pending > 0);
    } catch {
      isBusy = true;
    }
  };
  await poll();
  const timer = setInterval(() => void poll(), POLL_EVERY_MS).unref();
  return {
    get isBusy() {
      return isBusy;
    },
    stop: () => clearInterval(timer),
  };
}
