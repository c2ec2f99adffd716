import { provesAccess } from '../core/decide.ts';
import { codeOf, type Answer } from '../core/answer.ts';
import { blameOf } from '../core/code-table.ts';
import type { MqttClient } from '../mqtt/client.ts';
import { ok, warn, type Check } from './check.ts';

/** Nobody's: that it is not found is an answer that only a caller with the permission gets. */
const NO_CA = '0';

/** The read that `certsweep inventory --ca` needs. */
export function readCaListing(client: Pick<MqttClient, 'listDeviceCertificates'>, instanceId: string) {
  return (notAfterMs: number): Promise<Answer> =>
    client.listDeviceCertificates({ instanceId, caSn: NO_CA, pageNo: 1, pageSize: 1 }, notAfterMs);
}

/** A worker does without it, so its lack is no failure. @param answer - a text says why it was not tried */
export function judgeCaListing(place: string, answer: Answer | string): Check {
  const fix = 'grant mq:ListDeviceCertificateByCaSn if you want certsweep inventory --ca; nothing else needs it';
  if (typeof answer === 'string') return warn('permissions', `${place}: list by CA not tried, ${answer}`, 'ask again');
  if (provesAccess(answer)) return ok('permissions', `${place}: may list certificates by CA`);
  const isDenied = answer.kind === 'refused' && blameOf(answer.code) === 'credential';
  return warn('permissions', `${place}: list by CA: ${codeOf(answer)}`, isDenied ? fix : 'ask again in a while');
}

/** What no look can tell. */
export function untriedPermissions(account: string): Check {
  return ok('permissions', `account ${account}: not tried, since it changes something: mq:DeleteDeviceCertificate`);
}
