import { codeOf, type Answer } from '../core/answer.ts';
import { blameOf, type Blame } from '../core/code-table.ts';
import { SLOTS_TRIED } from '../core/endpoint.ts';
import { createMqttClient, type MqttClient } from '../mqtt/client.ts';
import type { CredentialSource } from '../mqtt/credentials.ts';
import { endpointClockSkewMs } from '../mqtt/endpoint.ts';
import type { AccountConfig, Config } from '../runtime/config/config.ts';
import { fail, ok, warn, type Check } from './check.ts';
import { tryReads, untriedPermissions, type PermissionReads } from './permissions.ts';
import { describeSkew, SET_CLOCK } from './redis.ts';
import type { TakeSlot } from './slots.ts';

/** Beyond this the API refuses every call. */
const REFUSED_SKEW_MS = 15 * 60_000;
const FAR_MS = 30_000;

/** Whether an endpoint answers, and this host's clock against its. It is one unsigned GET. */
export async function checkEndpoint(endpoint: string, config: Config): Promise<Check[]> {
  const { callDeadlineMs, egress } = config;
  const { localAddress } = egress;
  const skew = await endpointClockSkewMs(endpoint, {
    deadlineMs: callDeadlineMs,
    ...(localAddress !== undefined && { localAddress }),
  });
  if (!skew.ok) {
    const fix =
      "check the account's region or endpoint, and DNS, firewall and proxy of this host; inside a VPC the endpoint is https://onsmqtt-vpc.<region>.aliyuncs.com";
    return [fail('endpoint', skew.message, fix)];
  }
  const { skewMs, uncertaintyMs } = skew;
  const answers = ok('endpoint', `${endpoint} answers`);
  const found = `${describeSkew(skewMs, endpoint)}, give or take ${uncertaintyMs} ms`;
  if (Math.abs(skewMs) - uncertaintyMs <= FAR_MS) return [answers, ok('endpoint clock', found)];
  const isRefused = Math.abs(skewMs) >= REFUSED_SKEW_MS - uncertaintyMs;
  const fix = `${SET_CLOCK}: the API refuses calls more than 15 minutes off`;
  return [answers, (isRefused ? fail : warn)('endpoint clock', found, fix)];
}

/** A check has no way to send a call that changes anything. */
type ReadOnlyClient = PermissionReads & Pick<MqttClient, 'readInstance' | 'close'>;

/** @returns the answer, or why there was no slot for the read */
async function readWithinSlot(
  read: (notAfterMs: number) => Promise<Answer>,
  account: AccountConfig,
  takeSlot: TakeSlot,
): Promise<Answer | string> {
  for (let tried = 0; tried < SLOTS_TRIED; tried += 1) {
    const slot = await takeSlot(account);
    if (typeof slot === 'string') return slot;
    const answer = await read(slot.notAfterMs);
    if (answer.kind !== 'not-sent' || answer.reason !== 'slot-void') return answer;
  }
  return 'each slot had passed before the connection was up';
}

/** Reads one line of each instance's list, which changes nothing: it proves key, permission and instance. Then the other reads that there are. */
export async function checkCredentials(
  account: AccountConfig,
  config: Config,
  credentials: CredentialSource,
  takeSlot: TakeSlot,
): Promise<Check[]> {
  const { localAddress } = config.egress;
  const client: ReadOnlyClient = createMqttClient({
    endpoint: account.endpoint,
    credentials,
    callDeadlineMs: config.callDeadlineMs,
    maxConnections: 1,
    ...(localAddress !== undefined && { localAddress }),
  });
  const checks: Check[] = [];
  try {
    for (const [index, instanceId] of account.instances.entries()) {
      const answer = await readWithinSlot(
        (notAfterMs) => client.readInstance(instanceId, notAfterMs),
        account,
        takeSlot,
      );
      if (typeof answer === 'string') {
        checks.push(warn('credentials', `${placeOf(account, instanceId)}: not tried, ${answer}`, 'run this again'));
        continue;
      }
      checks.push(judge(account, instanceId, answer));
      if (answer.kind === 'accepted') {
        const place = placeOf(account, instanceId);
        checks.push(
          ...(await tryReads(client, { place, instanceId }, (read) => readWithinSlot(read, account, takeSlot))),
        );
      }
      const left = account.instances.length - index - 1;
      if (left > 0 && isOfAccount(answer)) {
        const many = left === 1 ? 'another instance' : `${left} other instances`;
        const found = `account ${account.name}: ${many} not tried, the answer would be the same`;
        checks.push(warn('credentials', found, 'fix the above first'));
        break;
      }
    }
  } finally {
    client.close();
  }
  checks.push(untriedPermissions(account.name));
  return checks;
}

/** @param why - what keeps the account's credentials from being tried */
export function untriedCredentials(account: AccountConfig, why: string): Check {
  return warn('credentials', `account ${account.name}: not tried, ${why}`, 'fix that first, then run this again');
}

const placeOf = (account: AccountConfig, instanceId: string): string =>
  `account ${account.name}, instance ${instanceId}`;

function judge(account: AccountConfig, instanceId: string, answer: Answer): Check {
  const place = placeOf(account, instanceId);
  if (answer.kind === 'accepted') return ok('credentials', `${place}: key accepted, may list certificates`);
  const found = `${place}: ${codeOf(answer)}${answer.message === '' ? '' : `: ${answer.message}`}`;
  switch (answer.kind) {
    case 'refused': {
      const blame = blameOf(answer.code);
      const passes = blame === 'rate' || blame === 'service' || blame === 'nonce';
      return (passes ? warn : fail)('credentials', found, FIXES[blame](account));
    }
    case 'not-sent':
      return fail('credentials', found, FIXES.credential(account));
    case 'garbled':
    case 'network':
      return fail(
        'credentials',
        found,
        'check the endpoint, and proxies and firewalls on the way to it, then run this again',
      );
  }
}

/** Whether every other instance of the account would be answered the same. */
function isOfAccount(answer: Answer): boolean {
  if (answer.kind === 'refused') {
    return ['credential', 'token', 'risk-control', 'clock', 'our-request'].includes(blameOf(answer.code));
  }
  return answer.kind !== 'accepted';
}

const again = (): string => 'run this again in a while; workers retry by themselves';
const report = (): string => 'report it with code and message: this call should never get it';

const FIXES: Readonly<Record<Blame, (account: AccountConfig) => string>> = {
  credential: ({ credentials }) =>
    `check the key in ${credentials?.accessKeyIdEnv ?? 'ALIBABA_CLOUD_ACCESS_KEY_ID, or what the default chain finds'}, that it is active, and its RAM policy: mq:ListDeviceCertificate for this check, mq:DeleteDeviceCertificate for the work`,
  token: () => 'give a fresh security token: this one is missing, expired or of another key',
  instance: ({ name }) =>
    `check the id, region and edition of the instance under accounts.${name}, and that the key's account owns it`,
  'risk-control': () => 'ask Alibaba Cloud why it blocks this account or address; no call works until then',
  clock: () => SET_CLOCK,
  'our-request': report,
  item: report,
  'not-found': report,
  rate: again,
  nonce: again,
  service: again,
  unknown: () => 'look up the code in the API’s documentation; this version does not know it',
};
