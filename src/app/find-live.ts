import { blameOf } from '../core/code-table.ts';
import type { Certificate } from '../core/certificate.ts';
import type { RegisteredStatus } from '../core/registered.ts';
import { openReadingClient } from '../inventory/clients.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { reachOf, type OutOfReach } from './accounts.ts';
import { withCloud, type Cloud, type CloudStop } from './cloud.ts';
import type { OpenStore } from './store.ts';

/** What the cloud says of a certificate now. */
export type LiveStatus = RegisteredStatus | 'not-registered';

export interface LiveReading {
  /** Null where the cloud did not say. */
  statusOf(certificate: Certificate): LiveStatus | null;
  /** Why the cloud was not asked, or refused. */
  readonly troubles: readonly LiveTrouble[];
}

export type LiveTrouble = OutOfReach | (CloudStop & { readonly account: string });

/** Asks the cloud about each of the certificates once, with slots as every call has. */
export async function readLive(
  store: OpenStore,
  certificates: Iterable<Certificate>,
  signal: AbortSignal,
): Promise<LiveReading> {
  const statuses = new Map<string, LiveStatus>();
  const troubles: LiveTrouble[] = [];
  const byAccount = new Map<AccountConfig, Map<string, Certificate>>();
  const outOfReach = new Set<string>();
  for (const certificate of certificates) {
    const reach = reachOf(store.config, certificate.instanceId);
    if (reach.kind === 'reach') {
      const ofAccount = byAccount.get(reach.account) ?? new Map<string, Certificate>();
      byAccount.set(reach.account, ofAccount.set(keyOf(certificate), certificate));
    } else if (!outOfReach.has(certificate.instanceId)) {
      outOfReach.add(certificate.instanceId);
      troubles.push(reach);
    }
  }
  for (const [account, wanted] of byAccount) {
    await withCloud(store, account, { openClient: openReadingClient, signal }, async (cloud) => {
      for (const [key, certificate] of wanted) {
        const status = await readOne(cloud, certificate);
        if (typeof status === 'string') statuses.set(key, status);
        else troubles.push({ ...status, account: account.name });
        // What is wrong with one serial number says nothing of the next.
        if (typeof status !== 'string' && !(status.kind === 'refused' && blameOf(status.code) === 'item')) return;
      }
    });
  }
  return { statusOf: (certificate) => statuses.get(keyOf(certificate)) ?? null, troubles };
}

async function readOne(
  { desk, client }: Pick<Cloud<ReturnType<typeof openReadingClient>>, 'desk' | 'client'>,
  certificate: Certificate,
): Promise<LiveStatus | CloudStop> {
  const end = await desk.read((notAfterMs) => client.getDeviceCertificate(certificate, notAfterMs));
  if (end.kind === 'read') return end.data.status;
  // Without its CA, no certificate is registered.
  const isAbsent = end.kind === 'refused' && (blameOf(end.code) === 'not-found' || end.code === 'FindCaBySnError');
  return isAbsent ? 'not-registered' : end;
}

function keyOf({ instanceId, caSn, deviceSn }: Certificate): string {
  return `${instanceId}\n${caSn}\n${deviceSn}`;
}
