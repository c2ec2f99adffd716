// Sample values by name, for `npm run messages`: what a template fills in is known by the name of the variable.
import { count, duration, groupDigits } from '../dist/core/counting.js';
import { printable, printableLines } from '../dist/core/printable.js';
import { describeTimeSpan } from '../dist/core/time-span.js';

const BATCH = '20260131-090000-0a1b';
const SHA256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c0f1e08a4e1';
const TIME = '2026-01-31T09:00:00.000Z';
const MILLISECONDS = Date.parse(TIME);

const SAMPLES = {
  account: 'prod',
  action: 'delete',
  address: '203.0.113.7',
  batch: BATCH,
  because: 'it belongs to user 1000',
  caSn: '007269004887',
  code: 'Forbidden.RAM',
  cursor: '1234-0',
  dataDir: '/var/lib/certsweep',
  deviceSn: '00ff5ad1',
  directory: '/var/lib/certsweep/redis',
  egress: 'nat-1',
  endpoint: 'https://onsmqtt.cn-hangzhou.aliyuncs.com',
  error: 'connect ECONNREFUSED 127.0.0.1:6379',
  event: 'batch-paused',
  example: 'certsweep ca inactivate post-cn-xxx 007269004887 --execute',
  field: 'deviceSn',
  file: 'certsweep.yaml',
  folder: '/tmp',
  from: '10.0.0.7',
  except: 'keep.csv',
  hash: SHA256,
  previous: SHA256,
  submittedBy: 'alice',
  names: 'devices.txt',
  host: 'worker-1',
  id: BATCH,
  instance: 'post-cn-xxx',
  instanceId: 'post-cn-xxx',
  instanceIds: ['post-cn-xxx', 'post-cn-yyy'],
  into: '/home/ops/.cache/certsweep',
  key: 'prod',
  line: '2',
  manifest: 'manifest.csv',
  maxShareOfCa: '0.05',
  message: 'User not authorized to operate on the specified resource.',
  name: 'prod',
  occurrence: 'expired@2026-03-02T03:00[Asia/Shanghai]',
  option: '--qps',
  out: 'fleet.csv',
  owner: 'staging',
  path: 'fleet.plan',
  pausedBecause: '12 of 100 settled items are dead (12%)',
  platform: 'win32',
  priority: 'urgent',
  reason: 'ticket 4711',
  region: 'cn-hangzhou',
  remedy: 'give a whole number from 1 to 10000',
  report: 'report.csv',
  requestId: '5A7D4F0B-3C1E-4E7B-9C55-0A1B2C3D4E5F',
  requestedBy: 'alice',
  role: 'operator',
  schedule: 'expired',
  sha256: SHA256,
  shown: '"instance_id,ca_sn"',
  since: TIME,
  source: 'certsweep.yaml',
  state: 'running',
  status: 'active',
  text: '12x',
  thing: 'maxmemory-policy',
  what: 'the certificates',
  plan: '5d41402abc4b2a76b9719d911017c592',
  token: 'cst_5vN1...',
  until: TIME,
  untilMs: MILLISECONDS,
  url: 'http://127.0.0.1:9480',
  user: 'alice',
  value: 'allkeys-lru',
  variable: 'ALIBABA_CLOUD_ACCESS_KEY_ID',
  verdict: 'retry',
  version: '7.0.15',
  where: 'redis://127.0.0.1:6379',
  why: 'EACCES',
};
/** Names of numbers that the table does not have: they end or begin like these. */
const NUMBERS =
  /(?:Ms|At|Seconds|Bytes|Qps|Items|count|calls|rows?|items|length|pid|uid|gid|letters|certificates)$|^(?:n|accepted|rejected|duplicates|pending|dead|revoked|alreadyGone|cancelled|settled|forgotten|deleted|qps|rest|more|active|inactive|absent|otherCa|surviving|covered|checked|remaining|batches|running|failed|warnings|stepsBack|unreadable|workers|seq|expected|port|bytes|least|most|worst|total|discarded|retried|refused|unknown|left|seconds|minutes|all|headSeq|alreadyInactive|keptActive|confirmedByAbsence|having|ratePerSecond|factor|heldForMs|mebibytes)$/u;
const LISTS = new Set(['filter', 'flatMap', 'map', 'slice', 'toSorted', 'values']);
const REAL = {
  count,
  describeTimeSpan,
  duration,
  groupDigits,
  n: groupDigits,
  printable,
  printableLines,
  quoteValue: (text) => JSON.stringify(String(text)),
  describeRedisError: () =>
    'Nothing answers at 127.0.0.1:6379 (connection refused): start Redis there, or correct redis.url',
  isoOf: () => TIME,
  toISOString: () => TIME,
  clock: () => '09:00:00',
  plural: (number, noun) => (number === 1 ? noun : `${noun}s`),
  are: (number) => (number === 1 ? 'is' : 'are'),
};
const GLOBALS = {
  Array,
  Boolean,
  Date,
  JSON,
  Math,
  Number,
  Object,
  String,
  URL,
  URLSearchParams,
  encodeURIComponent,
  undefined,
};

/** How a variable or property of that name reads. @param isMany - false for one of everything, and flags that are false */
export function sampleOf(name, isMany, constants) {
  if (Object.hasOwn(GLOBALS, name)) return GLOBALS[name];
  if (Object.hasOwn(REAL, name) && name !== 'n') return REAL[name];
  if (constants.has(name)) return constants.get(name);
  if (/^(?:is|has|may|must)[A-Z]/u.test(name)) return isMany;
  if (Object.hasOwn(SAMPLES, name)) return objectOf(name, SAMPLES[name], isMany, constants);
  if (NUMBERS.test(name)) return objectOf(name, isMany ? 1234 : 1, isMany, constants);
  return objectOf(name, `<${name}>`, isMany, constants);
}

/** A value that has every property and can be called: text or a number where it is printed. */
function objectOf(name, value, isMany, constants) {
  const isText = typeof value === 'string';
  if (!isText) return value;
  const seen = (inner) => sampleOf(inner, isMany, constants);
  const listed = new Proxy(() => undefined, {
    get: (_, key) => {
      if (key === Symbol.toPrimitive) return () => value;
      if (key === 'toString' || key === 'toJSON') return () => value;
      if (key === Symbol.iterator) return value[Symbol.iterator].bind(value);
      if (typeof key === 'symbol') return undefined;
      if (typeof value[key] === 'function') return (...given) => value[key](...given);
      if (LISTS.has(key)) return () => listed;
      if (key === 'join') return () => value;
      return seen(key);
    },
    apply: (_, __, [first]) => (name in REAL ? REAL[name](first) : first === undefined ? value : `<${name}>`),
    has: () => true,
  });
  return listed;
}
