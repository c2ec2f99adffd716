// Sample values by code, for `npm run messages`: where the name alone does not tell what a template fills in.
const BATCH = '20260131-090000-0a1b';
const SHA256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c0f1e08a4e1';
const TIME = '2026-01-31T09:00:00.000Z';
const ENDS = '1,180 revoked, 20 already gone, 1 dead, 33 pending';
/** By file below src/, then by code: a sample, or one for many things and one for a single one. */
const CODES = {
  'app/schedule-listing.ts': { 'before.listed[key]': '1234' },
  'cli/approve.ts': { 'result.action': 'inactivate', 'result.awaited.manifest': SHA256, 'result.batch': BATCH },
  'cli/ca.ts': { 'end.now': '1235', 'end.asked': '1234' },
  'cli/demo/audit.ts': {
    "outcomes.map((outcome, index) => `${n(reported[index] ?? 0)} ${outcome}`).join(', ')": '4,148 revoked, 12 dead',
    "count(seen.certificates.called, 'certificate')": '4,900 certificates',
    'n(seen.certificates.calledAgain)': '37',
    worst: '280',
    over: '3',
    excess: ', which it passed by 3',
  },
  'cli/demo/demo.ts': {
    'describeDemo({ detail, rows, seen, sums, tookMs, report })': 'Outcomes      4,148 revoked, 12 dead',
    "PAGE_URL.exec(started)?.[1] ?? ''": 'http://127.0.0.1:9480',
  },
  'cli/demo/stage.ts': { 'args[0]': 'submit' },
  'cli/doctor.ts': { parts: '12 checks, 0 warnings, 0 failed.' },
  'cli/pace.ts': {
    'result.configuredQps': '480',
    'duration(result.most)': '7 d',
    known: 'it has prod, staging',
    "accounts.join(', ')": 'prod, staging',
  },
  'cli/report.ts': { format: 'yaml' },
  'cli/sandbox.ts': {
    'known.instances[0]': 'post-cn-sandbox',
    'known.accessKeySecret': 'sandbox',
    'row.line': '2',
    'row.reason': 'deviceSn is empty',
  },
  'cli/schedule.ts': { known: 'it has expired, west' },
  'cli/text/audit.ts': {
    process: 'ops@worker-1, process 1234',
    entries: ['1,234 entries', '1 entry'],
    accepted: ['1,234 certificates accepted', '1 certificate accepted'],
    "count(counts.accepted, 'certificate')": ['1,234 certificates', '1 certificate'],
    "action === 'delete' ? '' : ` to ${action}`": ' to inactivate',
    'describeEnds(action, counts)': ENDS,
  },
  'cli/text/cas.ts': { 'ACTIONS[action].done': 'is inactive', now: ' active, and has 1,234 certificates now' },
  'cli/text/event.ts': {
    "textOf(fields['reason'])": 'SIGTERM',
    "count(Number(fields['inHand']), 'item')": ['37 items', '1 item'],
  },
  'cli/text/cloud.ts': { what: 'listing of post-cn-xxx' },
  'cli/text/find.ts': { "live === null ? 'not known' : LIVE_WORDS[live]": 'registered, inactive' },
  'cli/text/planned.ts': { time: ', 2 min', left: ['2 survive', '1 survives'] },
  'cli/text/sandbox-lines.ts': { name: 'account prod', worstSecond: '478' },
  'cli/text/summary.ts': { verifiedAt: TIME, 'EXPECTED_STATUS[action].found': 'registered' },
  'cli/text/verify.ts': { none: 'registered', found: 'registered' },
  'cli/undo.ts': {
    'them(accepted)': ['them', 'it'],
    "count(activated + alreadyActive, 'certificate')": ['1,234 certificates', '1 certificate'],
    rest: ', 3 items pending',
  },
  'cli/wait.ts': { 'describeEnds(action, detail)': ENDS, summary: `Batch ${BATCH} completed: ${ENDS}.` },
  'core/decide-by-read.ts': {
    'answer.message': 'The state is wrong.',
    'read.code': 'NoPermission',
    'read.message': 'Denied.',
  },
  'core/retirement.ts': { 'answer.message': 'Denied.', what: 'CA' },
  'doctor/configuration.ts': {
    many: ['3 instances', 'instance post-cn-xxx'],
    keys: 'the key in ALIBABA_CLOUD_ACCESS_KEY_ID',
  },
  'doctor/endpoints.ts': {
    answer: 'account prod is halted',
    place: 'account prod, instance post-cn-xxx',
    "answer.message === '' ? '' : `: ${answer.message}`": ': User not authorized to operate on the specified resource.',
  },
  'doctor/permissions.ts': {
    answer: 'account prod is halted',
    may: 'mq:ListCaCertificate',
    place: 'account prod, instance post-cn-xxx',
    "granted.join(', ')": 'mq:ListDeviceCertificate, mq:ListCaCertificate',
  },
  'doctor/quotas.ts': { used: '120 used in the last ten seconds' },
  'doctor/redis.ts': { text: '1.2 s' },
  'http/api.ts': { 'JSON.stringify(twice[0])': '"batch"' },
  'http/routes/controls.ts': { 'result.action': 'inactivate', 'result.batch': BATCH },
  'http/routes/paces.ts': { 'result.configuredQps': '480', 'result.most': '604800' },
  'http/routes/singles.ts': {
    'error.message[0]?.toUpperCase()': 'B',
    'error.message.slice(1)': `atch ${BATCH} is being cancelled`,
  },
  'ledger/layout.ts': { found: '6' },
  'ledger/plan.ts': { "time.slice(0, 8).replaceAll(':', '')": '090000' },
  'manifest/lines.ts': { format: 'compressed with gzip; unpack it first (gunzip)' },
  'manifest/scratch-file.ts': { 'start + read': '1024' },
  'mqtt/client.ts': { 'this.#options.callDeadlineMs': '5000' },
  'queue/worker/account-worker.ts': { 'items.inHand': '37' },
  'runtime/config/job-key.ts': { "accounts.join(', ')": 'prod' },
  'runtime/config/redis-schema.ts': {
    holds: 'the password',
    'REDIS_VARIABLES[key]': 'CERTSWEEP_REDIS_PASSWORD',
    whose: 'the Sentinels',
    "isFor.join(' and redis.')": 'sentinel',
  },
  'runtime/config/schema.ts': { others: '480 (staging)' },
  'runtime/redis/embedded/embedded-server.ts': { 'running.process.pid': '1234' },
  'runtime/redis/embedded/locate.ts': { "refused.join('; ')": '/usr/bin/redis-server is older than 6.2' },
  'sandbox/fault-plan.ts': { "FAULT_KINDS.join(', ')": 'code, throttle, drop, delay' },
};

/** What code in a file evaluates to, where the table says it. */
export function sampleOfCode(file, code, isMany) {
  const sample = CODES[file.replace(/^src\//u, '')]?.[code];
  return Array.isArray(sample) ? sample[isMany ? 0 : 1] : sample;
}
