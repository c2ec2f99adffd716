import { provesAccess } from '../core/decide.ts';
import { codeOf, type Answer } from '../core/answer.ts';
import { blameOf } from '../core/code-table.ts';
import type { MqttClient } from '../mqtt/client.ts';
import { ok, warn, type Check } from './check.ts';

/** Nobody's: that it is not found is an answer that only a caller with the permission gets. */
const NO_SERIAL = '0';

/** What a check may ask. */
export type PermissionReads = Pick<
  MqttClient,
  'getDeviceCertificate' | 'listDeviceCertificates' | 'listCaCertificates' | 'getCaCertificate'
>;

interface PermissionRead {
  readonly permission: string;
  /** Says what one may do. */
  readonly may: string;
  readonly neededFor: string;
  readonly read: (client: PermissionReads, instanceId: string, notAfterMs: number) => Promise<Answer>;
}

/** A worker that deletes does without them. */
const READS: readonly PermissionRead[] = [
  {
    permission: 'mq:ListDeviceCertificateByCaSn',
    may: 'list by CA',
    neededFor: 'certsweep inventory --ca, verify, and ca show and delete',
    read: (client, instanceId, notAfterMs) =>
      client.listDeviceCertificates({ instanceId, caSn: NO_SERIAL, pageNo: 1, pageSize: 1 }, notAfterMs),
  },
  {
    permission: 'mq:ListCaCertificate',
    may: 'list CAs',
    neededFor: 'certsweep plan and ca list',
    read: (client, instanceId, notAfterMs) =>
      client.listCaCertificates({ instanceId, pageNo: 1, pageSize: 1 }, notAfterMs),
  },
  {
    permission: 'mq:GetCaCertificate',
    may: 'read a CA',
    neededFor: 'certsweep ca show, inactivate, activate and delete',
    read: (client, instanceId, notAfterMs) => client.getCaCertificate(instanceId, NO_SERIAL, notAfterMs),
  },
  {
    permission: 'mq:GetDeviceCertificate',
    may: 'read a certificate',
    neededFor: 'batches with --action inactivate or activate, where an answer is in doubt',
    read: (client, instanceId, notAfterMs) =>
      client.getDeviceCertificate({ instanceId, caSn: NO_SERIAL, deviceSn: NO_SERIAL }, notAfterMs),
  },
];

/**
 * Tries the reads that the commands for operators need. Their lack is no failure.
 * @param withinSlot - makes the read in a slot; a text says why there was none
 */
export async function tryReads(
  client: PermissionReads,
  { place, instanceId }: { readonly place: string; readonly instanceId: string },
  withinSlot: (read: (notAfterMs: number) => Promise<Answer>) => Promise<Answer | string>,
): Promise<Check[]> {
  const granted: string[] = [];
  const lacking: Check[] = [];
  for (const { permission, may, neededFor, read } of READS) {
    const answer = await withinSlot((notAfterMs) => read(client, instanceId, notAfterMs));
    if (typeof answer === 'string') {
      lacking.push(warn('permissions', `${place}: ${may} not tried, ${answer}`, 'run this again'));
    } else if (provesAccess(answer)) granted.push(may);
    else {
      const isDenied = answer.kind === 'refused' && blameOf(answer.code) === 'credential';
      const fix = isDenied
        ? `grant ${permission} if you want ${neededFor}; nothing else needs it`
        : 'run this again in a while';
      lacking.push(warn('permissions', `${place}: ${may}: ${codeOf(answer)}`, fix));
    }
  }
  return granted.length === 0 ? lacking : [ok('permissions', `${place}: may ${granted.join(', ')}`), ...lacking];
}

/** Permissions that no read can check: each of them changes something. */
const UNTRIED = [
  'mq:DeleteDeviceCertificate',
  'mq:UnregisterDeviceCertificate and mq:ActiveDeviceCertificate (certsweep submit --action)',
  'mq:UnregisterCaCertificate, mq:ActiveCaCertificate and mq:DeleteCaCertificate (certsweep ca)',
];

export function untriedPermissions(account: string): Check {
  return ok('permissions', `account ${account}: not tried, since it changes something: ${UNTRIED.join(', ')}`);
}
