// npm run test:mutations: weakens the code in named ways, one at a time, in a copy, and shows that the tests notice each.
// A mutation that survives ends the run with 1, and so does one whose text is no longer found: then it must be written anew.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `tests` are the folders or files of which at least one test must fail. */
const MUTATIONS = [
  {
    name: 'a slot is used although it is late',
    file: 'src/mqtt/journey.ts',
    from: 'nowMs <= this.#notAfterMs - spareMs) return;',
    to: 'nowMs <= this.#notAfterMs + 1_000) return;',
    tests: ['test/mqtt'],
  },
  {
    name: 'the round trip to Redis is not taken off a slot',
    file: 'src/limiter/pace-store.ts',
    from: 'const fromMs = answeredMs +',
    to: 'const fromMs = askedMs +',
    tests: ['test/limiter'],
  },
  {
    name: 'the egress clock is not asked',
    file: 'src/limiter/contract.ts',
    from: 'return `${prefix}:pace:egress:${egress}`;',
    to: 'return `${prefix}:pace:egress:${egress}:${Math.random()}`;',
    tests: ['test/limiter', 'test/e2e/rate.test.ts'],
  },
  {
    name: 'one retry is dropped',
    file: 'src/core/decide.ts',
    from: 'attempt.failures + 1 >= tries',
    to: 'attempt.failures + 2 >= tries',
    tests: ['test/core'],
  },
  {
    name: 'a code is moved to another row',
    file: 'src/core/code-table.ts',
    from: "'instance', 'MqttInstanceNotFound'",
    to: "'item', 'MqttInstanceNotFound'",
    tests: ['test/core'],
  },
  {
    name: 'not found is done although an earlier answer was lost',
    file: 'src/core/decide.ts',
    from: "if (attempt.effectUnknown) return { kind: 'done'",
    to: "if (!attempt.effectUnknown) return { kind: 'done'",
    tests: ['test/core'],
  },
  {
    name: 'settling does not look at the bitmap',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if (isSuccess and redis.call('SETBIT', KEYS[4], n, 1) or redis.call('GETBIT', KEYS[4], n)) == 1 then",
    to: 'if false then',
    tests: ['test/ledger'],
  },
  {
    name: 'success is believed without the echo of the serial number',
    file: 'src/mqtt/read-answer.ts',
    from: ': proof(body);',
    to: ': undefined;',
    tests: ['test/mqtt'],
  },
  {
    name: 'the feeder moves on before the jobs are in the queue',
    file: 'src/queue/feeder.ts',
    from: 'await handOver(this.#parts, batch, page.items);',
    to: 'void handOver(this.#parts, batch, page.items.slice(1));',
    tests: ['test/queue'],
  },
  {
    name: 'a start that crashed is taken for a clean one',
    file: 'src/ledger/script-parts.lua.ts',
    from: "return (note == run or note == told) and 'told' or 'untold'",
    to: "return 'told'",
    tests: ['test/queue'],
  },
  {
    name: 'a crash while an item waited for its slot counts as a call',
    file: 'src/ledger/script-parts.lua.ts',
    from: "if not note then return 'none' end",
    to: "if not note then return 'untold' end",
    tests: ['test/queue'],
  },
  {
    name: 'an outcome is written over the call of another run',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if calls == 'untold' and not doubt then return calls end",
    to: '',
    tests: ['test/queue/two-jobs.test.ts'],
  },
  {
    name: 'a run that lost its lock settles all the same',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if (redis.call('GET', KEYS[9]) or '') ~= ARGV[12] then return 'lock-lost' end",
    to: '',
    tests: ['test/queue/lost-lock.test.ts'],
  },
  {
    name: 'what a job says of its own past is believed',
    file: 'src/core/decide.ts',
    from: "case 'none':\n      return FIRST_ATTEMPT;",
    to: "case 'none':\n      return attempt;",
    tests: ['test/queue/direct.test.ts'],
  },
  {
    name: 'a settlement that is sent again is not told',
    file: 'src/ledger/item-scripts.lua.ts',
    from: 'if field.n == ARGV[2] and',
    to: 'if false and',
    tests: ['test/queue/lost-reply.test.ts'],
  },
  {
    name: 'a service that failed is taken to have done nothing',
    file: 'src/core/code-table.ts',
    from: "case 'unknown':\n      return true;",
    to: "case 'unknown':\n      return false;",
    tests: ['test/core'],
  },
  {
    name: 'a run that lost its lock calls all the same',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if redis.call('GET', KEYS[5]) ~= ARGV[3] then return 'lock-lost' end",
    to: '',
    tests: ['test/queue/lost-lock.test.ts'],
  },
  {
    name: 'a job from before a retry calls all the same',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if tonumber(ARGV[2]) < tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or 0) then return 'settled' end",
    to: '',
    tests: ['test/queue/retried-item.test.ts'],
  },
  {
    name: 'an item that another process has ended is called for again',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if redis.call('GETBIT', KEYS[3], ARGV[1]) == 1 then return 'settled' end",
    to: '',
    tests: ['test/queue/lost-lock.test.ts'],
  },
  {
    name: 'each account ramps a shared batch by itself',
    file: 'src/queue/feeder.ts',
    from: 'if (!isShared) return',
    to: 'if (batch.fed >= 0) return',
    tests: ['test/queue/feeder.test.ts'],
  },
  {
    name: 'a feeder that was overtaken counts once more what it handed over',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0) ~= tonumber(ARGV[2]) then return 0 end",
    to: "if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0) >= tonumber(ARGV[3]) then return 0 end",
    tests: ['test/queue/overtaken.test.ts'],
  },
  {
    name: 'a paused direct batch is completed by its last settle',
    file: 'src/ledger/script-parts.lua.ts',
    from: "if f[6] == 'paused' and not f[7] then return 'settled' end",
    to: '',
    tests: ['test/queue/paused-direct.test.ts'],
  },
  {
    name: 'a halt does not stop the account',
    file: 'src/queue/processor.ts',
    from: "if (grant.kind === 'halted') return wait.snooze(item, grant.retryInMs);",
    to: "if (grant.kind === 'halted') continue;",
    tests: ['test/queue'],
  },
  {
    name: 'a refused token is fetched anew for each item',
    file: 'src/queue/key-renewal.ts',
    from: "return isTrial ? 'failed' : 'untried';",
    to: "return 'untried';",
    tests: ['test/queue'],
  },
  {
    name: 'a probe that told nothing is lost',
    file: 'src/queue/processor.ts',
    from: 'if (grant.probe) await pacer.probeAgain(instanceId);',
    to: '',
    tests: ['test/queue'],
  },
  {
    name: 'a halt without jobs keeps all others out',
    file: 'src/limiter/halt-store.ts',
    from: 'Math.abs(nowMs - nextProbeAt) <= OVERDUE_MS',
    to: 'nowMs > 0',
    tests: ['test/queue/halts.test.ts'],
  },
  {
    name: 'an item ends dead while its endpoint is out',
    file: 'src/queue/processor.ts',
    from: '!(await host.mayEndDead(answer))',
    to: 'performance.now() < 0',
    tests: ['test/queue/host-halts.test.ts'],
  },
  {
    name: 'a worker starts beside another name of its account',
    file: 'src/queue/worker-registry.ts',
    from: 'if theirs[instance] and theirs[instance] ~= account then',
    to: 'if false then',
    tests: ['test/e2e/worker-registry.test.ts'],
    build: true,
  },
  {
    name: 'a throttled item loses an attempt',
    file: 'src/core/decide.ts',
    from: '(isFailure && sent ? 1 : 0)',
    to: "((isFailure || verdict.kind === 'throttled') && sent ? 1 : 0)",
    tests: ['test/core'],
  },
  {
    name: 'the operator may confirm another number',
    file: 'src/app/submit.ts',
    from: 'confirmed !== summary.accepted',
    to: '!(confirmed > 0)',
    tests: ['test/cli/submit.test.ts'],
    build: true,
  },
  {
    name: 'a bad row does not refuse the manifest',
    file: 'src/app/submit.ts',
    from: 'summary.rejected > 0 && !skipInvalid',
    to: 'summary.rejected > 1 && !skipInvalid',
    tests: ['test/cli'],
    build: true,
  },
];

const only = process.argv[2];
const chosen = MUTATIONS.filter(({ name }) => only === undefined || name.includes(only));
const copy = mkdtempSync(join(tmpdir(), 'certsweep-mutations-'));
const survived = [];
try {
  const left = new Set(['node_modules', '.git', 'bench/results']);
  cpSync('.', copy, { recursive: true, filter: (path) => !left.has(path) });
  symlinkSync(join(process.cwd(), 'node_modules'), join(copy, 'node_modules'));
  build();
  // A test that fails anyway would notice everything.
  const unchanged = runTests([...new Set(chosen.flatMap(({ tests }) => tests))]);
  if (unchanged.status !== 0) throw new Error(`the tests fail without a mutation:\n${unchanged.stdout}`);
  for (const mutation of chosen) {
    const startMs = performance.now();
    const verdict = tryOut(mutation);
    if (verdict !== 'noticed') survived.push(mutation.name);
    console.log(`${verdict.padEnd(9)} ${mutation.name} (${Math.round((performance.now() - startMs) / 1_000)} s)`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${chosen.length - survived.length} noticed, ${survived.length} not`);
process.exitCode = survived.length === 0 ? 0 : 1;

function tryOut({ file, from, to, tests, build: isBuilt }) {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  if (text.split(from).length !== 2) return 'OUTDATED';
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
  try {
    if (isBuilt === true) build();
    const { status, stdout } = runTests(tests);
    const failed = Number(/(\d+) failed\s*$/.exec(stdout)?.[1] ?? 0);
    // A run that fails without a failing test has proved nothing.
    return status !== 0 && failed > 0 ? 'noticed' : 'SURVIVED';
  } finally {
    writeFileSync(path, text);
    if (isBuilt === true) build();
  }
}

function runTests(tests) {
  return spawnSync('npx', ['vitest', 'run', '--bail', '1', ...tests], { cwd: copy, encoding: 'utf8' });
}

function build() {
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: copy, stdio: 'inherit' });
}
