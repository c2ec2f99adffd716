import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DIRECT } from '../../../src/core/direct-job.ts';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';
import { errorOf, faultsIn, faultsOf, loadYaml } from './load.ts';

const account = (more: string) => `accounts:\n  eu:\n    region: eu-central-1\n    instances: [post-1]\n    ${more}\n`;
/** A schedule that is well but for one line. */
const scheduled = (line: string): string => {
  const lines = new Map([
    ['cron', '"0 3 * * 1"'],
    ['instances', '[post-1]'],
    ['select', '{status: active}'],
  ]);
  const [, key = '', value = ''] = /^(\w+): (.*)$/.exec(line) ?? [];
  lines.set(key, value);
  const rule = [...lines].map(([name, text]) => `    ${name}: ${text}\n`).join('');
  return `${account('')}schedules:\n  weekly:\n${rule}`;
};
const long = 'é'.repeat(65);

/** A file, and the one fault it must be refused with: path, value, a part of the remedy. */
const REFUSED: readonly (readonly [yaml: string, path: string, value: string, remedy: string])[] = [
  ['redis: {url: http://here}', 'redis.url', '"http://here"', 'redis://user:password@host:port/0'],
  ['redis: {url: }', 'redis.url', 'empty', 'or remove the line'],
  ['redis: redis://here', 'redis', '"redis://here"', 'write url, sentinel or cluster below it'],
  ['dataDir: ~/state', 'dataDir', '"~/state"', 'without ~'],
  ['egress: {id: "nat a"}', 'egress.id', '"nat a"', '1 to 64 letters'],
  [`egress: {id: ${'a'.repeat(65)}}`, 'egress.id', `"${'a'.repeat(65)}"`, '1 to 64 letters'],
  ['egress: {id: 007}', 'egress.id', '7', '1 to 64 letters'],
  ['egress: {qps: 0}', 'egress.qps', '0', 'from 1 to 10000'],
  ['egress: {qps: 9.5}', 'egress.qps', '9.5', 'a whole number'],
  ['egress: {qps: 300}', 'egress.qps', '300', 'stay below 300, at which Alibaba Cloud blocks the address'],
  ['egress: {qps: 300, raisedLimit: false}', 'egress.qps', '300', 'raisedLimit: true'],
  ['egress: {raisedLimit: "yes"}', 'egress.raisedLimit', '"yes"', 'true or false'],
  ['egress: {localAddress: eth0}', 'egress.localAddress', '"eth0"', 'an IPv4 or IPv6 address'],
  ['notFound: gone', 'notFound', '"gone"', 'one of already-gone, dead'],
  ['retry: {attempts: 0}', 'retry.attempts', '0', 'from 1 to 50'],
  ['retry: {attempts: 51}', 'retry.attempts', '51', 'from 1 to 50'],
  ['retry: {baseMs: 600, capMs: 500}', 'retry.baseMs', '600', 'at most what retry.capMs is'],
  ['retry: {capMs: 499}', 'retry.baseMs', '500 by default', 'at most what retry.capMs is'],
  ['retry: {capMs: -1, baseMs: 1}', 'retry.capMs', '-1', 'from 1 to 3600000'],
  ['breaker: {maxDeadShare: 5}', 'breaker.maxDeadShare', '5', 'like 0.05 for 5%'],
  ['breaker: {maxDeadShare: 5%}', 'breaker.maxDeadShare', '"5%"', 'like 0.05 for 5%'],
  ['breaker: {minSample: 0}', 'breaker.minSample', '0', 'from 1 to 1000000'],
  [
    'caution: {maxDeadShare: 0.02}',
    'caution',
    'a mapping of 1',
    'this key is called breaker now: write breaker, and keep',
  ],
  ['callDeadlineMs: 20001', 'callDeadlineMs', '20001', 'from 500 to 20000'],
  ['limiter: {lateMs: 4}', 'limiter.lateMs', '4', 'from 5 to 250'],
  ['limiter: {lateMs: 251}', 'limiter.lateMs', '251', 'from 5 to 250'],
  ['health: {port: 65536}', 'health.port', '65536', 'from 1 to 65535'],
  ['health: {host: here}', 'health.host', '"here"', '0.0.0.0 or :: for all'],
  ['log: {level: verbose}', 'log.level', '"verbose"', 'trace, debug, info, warn, error, fatal, silent'],
  ['log:', 'log', 'empty', 'write level below it'],
  ['accounts: [eu]', 'accounts', 'a list of 1', 'a name below it'],
  ['schedules: [weekly]', 'schedules', 'a list of 1', 'a name below it'],
  [scheduled('cron: 0 3 * *'), 'schedules.weekly.cron', '"0 3 * *"', 'five fields'],
  [scheduled('cron: "H 3 * * 1"'), 'schedules.weekly.cron', '"H 3 * * 1"', 'five fields'],
  [scheduled('cron: "0 3 30 2 *"'), 'schedules.weekly.cron', '"0 3 30 2 *"', 'one that occurs'],
  [scheduled('timezone: Mars/Base'), 'schedules.weekly.timezone', '"Mars/Base"', 'IANA'],
  [scheduled('instances: [post-2]'), 'schedules.weekly.instances[0]', '"post-2"', 'under accounts'],
  [scheduled('select: {}'), 'schedules.weekly.select', 'a mapping of 0', 'all of an instance is no schedule'],
  [scheduled('select: {returnedFrom: b, status: active}'), 'schedules.weekly.select', 'a mapping of 2', 'alone'],
  [scheduled('select: {ca: 7}'), 'schedules.weekly.select.ca', '7', 'in quotes'],
  [scheduled('maxShareOfCa: 0'), 'schedules.weekly.maxShareOfCa', '0', 'more than 0 and at most 1'],
  [scheduled('catchUpFor: 1w'), 'schedules.weekly.catchUpFor', '"1w"', 'like 30d, 12h or 90m'],
  [scheduled('window: "02:00-02:00"'), 'schedules.weekly.window', '"02:00-02:00"', 'two different times'],
  [scheduled('action: retire'), 'schedules.weekly.action', '"retire"', 'inactivate'],
  ['accounts: {EU: {region: eu-central-1, instances: [a]}}', 'accounts.EU', 'a mapping of 2', '1 to 32 lower-case'],
  ['accounts: {eu: }', 'accounts.eu', 'empty', 'write region and instances below it'],
  ['accounts: {eu: {instances: [a]}}', 'accounts.eu.region', 'missing', 'like cn-hangzhou, or an endpoint'],
  [
    'accounts: {eu: {region: cn-hangzou, instances: [a]}}',
    'accounts.eu.region',
    '"cn-hangzou"',
    'did you mean cn-hangzhou?',
  ],
  ['accounts: {eu: {region: mars-1, instances: [a]}}', 'accounts.eu.region', '"mars-1"', 'known are cn-qingdao, '],
  ['accounts: {eu: {region: EU, instances: [a]}}', 'accounts.eu.region', '"EU"', 'like cn-hangzhou'],
  [account('endpoint: onsmqtt.example'), 'accounts.eu.endpoint', '"onsmqtt.example"', 'https://<host>'],
  [
    account('endpoint: http://onsmqtt.example'),
    'accounts.eu.endpoint',
    '"http://onsmqtt.example"',
    'http:// is for 127.0.0.1',
  ],
  [
    account('endpoint: http://localhost.example'),
    'accounts.eu.endpoint',
    '"http://localhost.example"',
    'http:// is for',
  ],
  [
    account('endpoint: https://onsmqtt.example'),
    'accounts.eu.endpoint',
    '"https://onsmqtt.example"',
    'endpointIsTrusted: true',
  ],
  [
    account('endpoint: https://aliyuncs.com.evil.example'),
    'accounts.eu.endpoint',
    '"https://aliyuncs.com.evil.example"',
    'gets signed calls',
  ],
  [account('endpoint: https://notaliyuncs.com'), 'accounts.eu.endpoint', '"https://notaliyuncs.com"', 'aliyuncs.com'],
  [
    account('endpoint: https://onsmqtt.example\n    endpointIsTrusted: false'),
    'accounts.eu.endpoint',
    '"https://onsmqtt.example"',
    'endpointIsTrusted: true',
  ],
  [account('endpointIsTrusted: "yes"'), 'accounts.eu.endpointIsTrusted', '"yes"', 'true or false'],
  [
    'accounts: {__proto__: {region: eu-central-1, instances: [a]}}',
    'accounts.__proto__',
    'a mapping of 2',
    'another name',
  ],
  [
    'accounts: {constructor: {region: eu-central-1, instances: [a]}}',
    'accounts.constructor',
    'a mapping of 2',
    'another name',
  ],
  ['accounts: {valueOf: {region: eu-central-1, instances: [a]}}', 'accounts.valueOf', 'a mapping of 2', 'another name'],
  ['__proto__: {notFound: dead}', '__proto__', 'a mapping of 1', 'unknown key'],
  ['redis: {__proto__: {url: redis://here}}', 'redis.__proto__', 'a mapping of 1', 'unknown key'],
  [account('endpoint: https://host/path'), 'accounts.eu.endpoint', '"https://host/path"', 'nothing after it'],
  [account('direct: {accept: all}'), 'accounts.eu.direct.accept', '"all"', 'any, signed, none'],
  [account('direct: {maxPerHour: 0}'), 'accounts.eu.direct.maxPerHour', '0', 'from 1 to'],
  [account('direct: {instances: [post-1, post-2]}'), 'accounts.eu.direct.instances[1]', '"post-2"', 'under instances'],
  [account('direct: {key: x}'), 'accounts.eu.direct.key', '***', 'known here are accept'],
  ['accounts: {eu: {region: eu-central-1}}', 'accounts.eu.instances', 'missing', 'at least one'],
  ['accounts: {eu: {region: eu-central-1, instances: []}}', 'accounts.eu.instances', 'an empty list', 'at least one'],
  ['accounts: {eu: {region: eu-central-1, instances: [7]}}', 'accounts.eu.instances[0]', '7', 'as text, in quotes'],
  [
    `accounts: {eu: {region: eu-central-1, instances: [${long}]}}`,
    'accounts.eu.instances[0]',
    `"${long}"`,
    '130 bytes, at most 128',
  ],
  ['accounts: {eu: {region: eu-central-1, instances: [a, " b"]}}', 'accounts.eu.instances[1]', '" b"', 'white space'],
  [
    'accounts: {eu: {region: eu-central-1, instances: [a, a]}}',
    'accounts.eu.instances[1]',
    '"a"',
    'account eu lists it already',
  ],
  [
    `${account('limits: {qps: 250}')}  cn: {region: cn-beijing, instances: [x], limits: {qps: 250}}`,
    'accounts.cn.limits.qps',
    '250',
    'stay below 500 together with the other accounts that call with the default credentials, which have 250, or list',
  ],
  [
    `${account('limits: {qps: 250}')}  cn: {region: cn-beijing, instances: [x], limits: {qps: 250}, credentials: {accessKeyIdEnv: ALIBABA_CLOUD_ACCESS_KEY_ID, accessKeySecretEnv: ALIBABA_CLOUD_ACCESS_KEY_SECRET}}`,
    'accounts.cn.limits.qps',
    '250',
    'the default credentials, which have 250',
  ],
  [
    `${account('limits: {qps: 900, raisedLimit: true}')}  cn: {region: cn-beijing, instances: [x], limits: {qps: 1000, raisedLimit: true}}`,
    'accounts.cn.limits.qps',
    '1000',
    'the default credentials, which have 900',
  ],
  [
    `${account('credentials: {accessKeyIdEnv: A_ID, accessKeySecretEnv: A_SECRET}')}  cn: {region: cn-beijing, instances: [x], credentials: {accessKeyIdEnv: A_ID, accessKeySecretEnv: B_SECRET}}`,
    'accounts.cn.limits.qps',
    '480 by default',
    'the key in A_ID, which have 480',
  ],
  [
    `${account('limits: {qps: 9}')}  cn: {region: cn-beijing, instances: [x, post-1]}`,
    'accounts.cn.instances[1]',
    '"post-1"',
    'account eu lists',
  ],
  [
    account('limits: {qps: 500}'),
    'accounts.eu.limits.qps',
    '500',
    'below 500, at which Alibaba Cloud throttles the account',
  ],
  [account('limits: {qps: 10001, raisedLimit: true}'), 'accounts.eu.limits.qps', '10001', 'at most 10000'],
  [account('limits: {raisedLimit: 1}'), 'accounts.eu.limits.raisedLimit', '1', 'true or false'],
  [
    account('credentials: {accessKeyIdEnv: A}'),
    'accounts.eu.credentials.accessKeySecretEnv',
    'missing',
    'name of an environment variable',
  ],
];

/** Keys nobody knows. */
const UNKNOWN: readonly (readonly [yaml: string, path: string, value: string, remedy: string])[] = [
  ['egress: {qsp: 200}', 'egress.qsp', '200', 'did you mean qps?'],
  ['notfound: dead', 'notfound', '***', 'did you mean notFound?'],
  ['acounts: {}', 'acounts', 'a mapping of 0', 'did you mean accounts?'],
  [account('limit: {}'), 'accounts.eu.limit', 'a mapping of 0', 'did you mean limits?'],
  [account('limits: {burst: 9}'), 'accounts.eu.limits.burst', '9', 'known here are qps, raisedLimit'],
];

describe('a file is refused', () => {
  it.each(REFUSED)('%s', async (yaml, path, value, remedy) => {
    expect(await faultsIn(yaml)).toEqual([{ path, value, remedy: expect.stringContaining(remedy) }]);
  });

  it.each(UNKNOWN)('for an unknown key: %s', async (yaml, path, value, remedy) => {
    expect(await faultsIn(yaml)).toEqual([{ path, value, remedy: expect.stringContaining(remedy) }]);
  });

  it.each([
    ['a: 1\na: 2', 'line 2, column 1', 'DUPLICATE_KEY', 'one of the two keys'],
    ['redis:\n\turl: x', 'line 2, column 1', 'TAB_AS_INDENT', 'spaces instead of tabs'],
    ['a: [1', 'line 1, column 6', 'BAD_INDENT', 'same number of spaces'],
    ['notFound: dead\n---\nnotFound: dead', 'line 2, column 1', 'MULTIPLE_DOCS', 'keep one document'],
    ['redis: {url: *password}', 'the file', 'BAD_ALIAS', 'in quotes'],
  ])('that is not YAML: %j', async (yaml, path, code, remedy) => {
    expect(await faultsIn(yaml)).toEqual([
      { path, value: `not YAML (${code})`, remedy: expect.stringContaining(remedy) },
    ]);
  });

  it('that is a list', async () => {
    expect(await faultsIn('- a\n- b')).toMatchObject([{ path: 'the file', value: 'a list of 2' }]);
  });

  it('that is not there, under the name by which it was given', async () => {
    const path = join('/nowhere', 'certsweep.yaml');
    const remedy: unknown = expect.stringContaining('ENOENT');
    const byFlag = await errorOf(loadConfig({ path, environment: {} }));
    expect(byFlag.faults).toEqual([{ path: 'configuration file', value: path, remedy }]);
    expect(await faultsOf({ CERTSWEEP_CONFIG: path })).toEqual([{ path: 'CERTSWEEP_CONFIG', value: path, remedy }]);
  });

  it('with all faults at once, rules over several keys included, in the list and in the message', async () => {
    const yaml = `
      egress: {id: "nat a", qps: 300, speed: 1}
      retry: {attempts: 0, baseMs: 9, capMs: 8}
      log: {level: loud}
      accounts:
        eu: {region: mars-1, instances: [""], limits: {qps: 500}, endpint: x}
        cn: {region: cn-beijing, instances: [a, a]}`;
    const error = await errorOf(loadYaml(yaml, { CERTSWEEP_LATE_MS: '1', CERTSWEEP_LATEMS: '9' }));
    const places = `CERTSWEEP_LATEMS CERTSWEEP_LATE_MS accounts.cn.instances[1] accounts.eu.endpint accounts.eu.instances[0]
      accounts.eu.limits.qps accounts.eu.region egress.id egress.qps egress.speed log.level retry.attempts retry.baseMs`;
    expect(new Set(error.faults.map(({ path }) => path))).toEqual(new Set(places.split(/\s+/)));
    const lines = error.message.split('\n');
    expect(lines[0]).toMatch(/certsweep\.yaml\) has 13 faults:$/);
    expect(lines.slice(1)).toEqual(error.faults.map(({ path, value, remedy }) => `  ${path} is ${value}: ${remedy}`));
  });
});

describe('a file is accepted', () => {
  it('with two accounts of one key that share its quota', async () => {
    const config = await loadYaml(
      `${account('limits: {qps: 250}')}  cn: {region: cn-beijing, instances: [x], limits: {qps: 249}}`,
    );
    expect(config.accounts.map(({ qps }) => qps)).toEqual([250, 249]);
  });

  it('with raised limits that say so', async () => {
    const config = await loadYaml(
      `egress: {qps: 300, raisedLimit: true}\n${account('limits: {qps: 500, raisedLimit: true}')}`,
    );
    expect([config.egress.qps, config.accounts[0]?.qps]).toEqual([300, 500]);
  });

  it.each([
    ['http://127.0.0.1:8080', ''],
    ['http://localhost:8080', ''],
    ['http://[::1]:8080', ''],
    ['https://onsmqtt-vpc.new-1.aliyuncs.com', ''],
    ['https://onsmqtt-vpc.new-1.example', ', endpointIsTrusted: true'],
  ])('with the endpoint %s, whatever the region%s', async (endpoint, more) => {
    const config = await loadYaml(`accounts: {a: {region: new-1, endpoint: "${endpoint}/", instances: [x]${more}}}`);
    expect(config.accounts).toEqual([
      { name: 'a', region: 'new-1', endpoint, instances: ['x'], qps: 480, direct: DEFAULT_DIRECT },
    ]);
  });

  it('with an instance id of 128 bytes, and a share of 0 or 1', async () => {
    const id = 'é'.repeat(64);
    const config = await loadYaml(`breaker: {maxDeadShare: 0}\naccounts: {a: {region: us-west-1, instances: [${id}]}}`);
    expect(config.accounts[0]?.instances).toEqual([id]);
    expect((await loadYaml('breaker: {maxDeadShare: 1}')).breaker.maxDeadShare).toBe(1);
  });

  it('that is empty', async () => {
    expect((await loadYaml('')).accounts).toEqual([]);
  });
});
