// npm run test:mutations: weakens the code in named ways, one at a time, in a copy, and shows that the tests notice each.
// A mutation that survives ends the run with 1, and so does one whose text is no longer found: then it must be written again.
// With --texts it only looks whether each text is found; with a part of a name it tries out that mutation, and with `--from <part>` that one and all after it.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `tests` are the folders or files of which at least one test must fail. */
const MUTATIONS = [
  {
    name: 'a slot is used although it is late',
    file: 'src/mqtt/outgoing-call.ts',
    from: 'nowMs <= this.#notAfterMs - spareMs) return undefined;',
    to: 'nowMs <= this.#notAfterMs + 1_000) return undefined;',
    tests: ['test/mqtt'],
  },
  {
    name: 'the round trip to Redis is not taken off a slot',
    file: 'src/limiter/pace/pace-store.ts',
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
    from: 'elseif isSettled[item.n] then',
    to: 'elseif false then',
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
    name: 'the feeder moves on before the blocks are in the queue',
    file: 'src/queue/feed/feeder.ts',
    from: 'await queues.addBlocks(page.blocks, batch.priority);',
    to: 'void queues.addBlocks(page.blocks.slice(1), batch.priority);',
    tests: ['test/queue/feed'],
  },
  {
    name: 'a run that crashed is taken for one that made no call',
    file: 'src/ledger/script-parts.lua.ts',
    from: "a.unknown, a.crashes, a.run = true, a.crashes + 1, ''",
    to: "a.crashes, a.run = a.crashes + 1, ''",
    tests: ['test/ledger', 'test/queue'],
  },
  {
    name: 'an item that ends its worker each time goes on for ever',
    file: 'src/ledger/call-notes.ts',
    from: 'elseif a.crashes >= ${MAX_CRASHES} then',
    to: 'elseif false then',
    tests: ['test/ledger', 'test/queue'],
  },
  {
    name: 'a crash while an item waited for its slot counts as a call',
    file: 'src/limiter/pace/pace-script.ts',
    from: '  note(given)',
    to: '  note(#callable)',
    tests: ['test/limiter', 'test/queue'],
  },
  {
    name: 'a call leaves that was not noted',
    file: 'src/limiter/pace/pace-script.ts',
    from: '  note(given)',
    to: '',
    tests: ['test/limiter', 'test/queue'],
  },
  {
    name: 'the note of a slot that ended unused stays',
    file: 'src/ledger/call-notes.ts',
    from: 'leaseMs)\n  takeBack(request, firstKey)',
    to: 'leaseMs)',
    tests: ['test/ledger', 'test/limiter'],
  },
  {
    name: 'a slot that ended unused takes back the note of another run',
    file: 'src/ledger/call-notes.ts',
    from: 'if a.run == request.runs[back[3]][3] then',
    to: 'if true then',
    tests: ['test/ledger'],
  },
  {
    name: 'an outcome is written over the call of another run',
    file: 'src/ledger/item-scripts.lua.ts',
    from: 'elseif not isOwn and',
    to: 'elseif false and',
    tests: ['test/ledger'],
  },
  {
    name: 'a live run is taken for a dead one',
    file: 'src/ledger/script-parts.lua.ts',
    from: "return lock ~= nil and redis.call('GET', lock) == token",
    to: 'return false',
    tests: ['test/ledger'],
  },
  {
    name: 'what a job says of its own past is believed',
    file: 'src/ledger/former-layouts.ts',
    from: 'if not note then return end',
    to: '',
    tests: ['test/ledger', 'test/queue'],
  },
  {
    name: 'the note of a call of an older version is taken for one whose end was told',
    file: 'src/ledger/former-layouts.ts',
    from: 'if note ~= run then attempt.unknown = true end',
    to: '',
    tests: ['test/ledger'],
  },
  {
    name: 'what an older version called for is called for as if nobody had',
    file: 'src/queue/process/resolve-block.ts',
    from: 'if (state.layout < 3) await ledger.former.takeOverNotes(batch, ordinals);',
    to: 'if (state.layout < 0) await ledger.former.takeOverNotes(batch, ordinals);',
    tests: ['test/e2e/take-over.test.ts'],
    build: true,
  },
  {
    name: 'dead letters whose retry an older version noted stay behind',
    file: 'src/queue/worker/worker.ts',
    from: 'await ledger.former.takeOverRetried();',
    to: '',
    tests: ['test/e2e/take-over.test.ts'],
    build: true,
  },
  {
    name: 'a settlement that is sent again is not told',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "item.kind == 'settle' and isOurs(item) and",
    to: 'false and',
    tests: ['test/ledger'],
  },
  {
    name: 'an answer is lost when Redis refuses its report',
    file: 'src/queue/process/item-reports.ts',
    from: 'this.#waiting.unshift(...page);',
    to: "page.forEach(({ resolve }) => resolve('closed'));",
    tests: ['test/queue/process'],
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
    file: 'src/ledger/call-notes.ts',
    from: "elseif not isHeld[call[3]] then verdict = 'lock-lost'",
    to: "elseif false then verdict = 'lock-lost'",
    tests: ['test/ledger'],
  },
  {
    name: 'a job calls for an item that waits',
    file: 'src/ledger/call-notes.ts',
    from: "elseif not isClaim and scores[at] then verdict = 'left'",
    to: "elseif false then verdict = 'left'",
    tests: ['test/ledger'],
  },
  {
    name: 'an item is called for on a claim that has run out',
    file: 'src/ledger/call-notes.ts',
    from: "elseif isClaim and (not scores[at] or tonumber(scores[at]) ~= call[4] and a.run ~= run[3]) then verdict = 'left'",
    to: "elseif false then verdict = 'left'",
    tests: ['test/ledger'],
  },
  {
    name: 'two live jobs call for one item',
    file: 'src/ledger/call-notes.ts',
    from: "if isLive(a.run) then verdict = isClaim and 'busy' or 'left' else assumeCrashed(a) end",
    to: 'assumeCrashed(a)',
    tests: ['test/ledger', 'test/queue/model'],
  },
  {
    name: 'two processes take the same waiting item',
    file: 'src/ledger/waiting.ts',
    from: "if #moved > 0 then redis.call('ZADD', key, unpack(moved)) end",
    to: '',
    tests: ['test/ledger'],
  },
  {
    name: 'a job from before a retry by an older version calls all the same',
    file: 'src/queue/process/resolve-job.ts',
    from: "if (former > (retries ?? 0)) return { kind: 'stale' };",
    to: '',
    tests: ['test/queue'],
  },
  {
    name: 'an item that another process has ended is called for again',
    file: 'src/ledger/call-notes.ts',
    from: "elseif bits[at] == 1 then verdict = 'settled'",
    to: "elseif false then verdict = 'settled'",
    tests: ['test/ledger'],
  },
  {
    name: 'a call leaves for a paused batch',
    file: 'src/ledger/call-notes.ts',
    from: "if state == 'paused' then verdict = 'paused'",
    to: "if false then verdict = 'paused'",
    tests: ['test/ledger'],
  },
  {
    name: 'what may have worked is cancelled instead of followed',
    file: 'src/ledger/call-notes.ts',
    from: "elseif state == 'cancelled' and not a.unknown then",
    to: "elseif state == 'cancelled' then",
    tests: ['test/ledger'],
  },
  {
    name: 'a cancel ends what a call may have worked for',
    file: 'src/ledger/cancel-script.lua.ts',
    from: "(attempt.run == '' and not attempt.unknown)",
    to: "(attempt.run == '')",
    tests: ['test/ledger'],
  },
  {
    name: 'a run ends as cancelled what a call may have worked for',
    file: 'src/ledger/item-scripts.lua.ts',
    from: "if item.outcome == 'cancelled' and",
    to: 'if false and',
    tests: ['test/ledger'],
  },
  {
    name: 'each account ramps a shared batch by itself',
    file: 'src/queue/feed/feeder.ts',
    from: 'if (!isShared) return',
    to: 'if (batch.fed >= 0) return',
    tests: ['test/queue/feed'],
  },
  {
    name: 'a block is begun before its feeder has noted it',
    file: 'src/queue/process/resolve-block.ts',
    from: "if (cursor < to) return { kind: 'not-yet' };",
    to: '',
    tests: ['test/queue'],
  },
  {
    name: 'an item that ends its worker takes its whole block along',
    file: 'src/queue/worker/job-runner.ts',
    from: 'job.stalledCounter >= STALLS_IN_PARALLEL',
    to: 'job.stalledCounter < 0',
    tests: ['test/queue'],
  },
  {
    name: 'a batch begins without a ramp',
    file: 'src/core/batch.ts',
    from: 'if (settled < Math.min(step, counts.accepted)) return',
    to: 'if (settled < 0) return',
    tests: ['test/core', 'test/queue/feed'],
  },
  {
    name: 'a batch with too many dead items goes on',
    file: 'src/queue/feed/feeder.ts',
    from: "if (verdict.kind === 'pause') {",
    to: "if (verdict.kind === 'pause' && batch.fed < 0) {",
    tests: ['test/queue/feed'],
  },
  {
    name: 'a feeder that was overtaken counts once more what it handed over',
    file: 'src/ledger/lanes.ts',
    from: "if tonumber(redis.call('HGET', cursors, instance) or 0) ~= tonumber(from) then return 0 end",
    to: "if tonumber(redis.call('HGET', cursors, instance) or 0) >= tonumber(to) then return 0 end",
    tests: ['test/queue/feed'],
  },
  {
    name: 'a paused direct batch is completed by its last settle',
    file: 'src/ledger/script-parts.lua.ts',
    from: "if state == 'paused' and not print then return 'settled' end",
    to: '',
    tests: ['test/cli/batch.test.ts'],
    build: true,
  },
  {
    name: 'a halt does not stop the account',
    file: 'src/limiter/pace/pace-script.ts',
    from: 'if halted then',
    to: 'if false then',
    tests: ['test/limiter'],
  },
  {
    name: 'what a halt sends away is taken again at once',
    file: 'src/queue/worker/intake.ts',
    from: "if (this.#host === 'none' || admits === 'none') return 0;",
    to: "if (this.#host === 'none') return 0;",
    tests: ['test/queue/worker'],
  },
  {
    name: 'a slot in hand is used although its time has passed',
    file: 'src/limiter/pace/slot-buffer.ts',
    from: 'slot.fromMs <= nowMs && slot.notAfterMs - nowMs >= SHORTEST_SLOT_MS',
    to: 'slot.fromMs <= nowMs',
    tests: ['test/limiter'],
  },
  {
    name: 'a process asks for more than its own pace',
    file: 'src/limiter/pace/slot-credit.ts',
    from: 'const earned = (this.#qps *',
    to: 'const earned = (10 * this.#qps *',
    tests: ['test/limiter'],
  },
  {
    name: 'a refused token is fetched again for each item',
    file: 'src/queue/process/key-renewal.ts',
    from: "return isTrial ? 'failed' : 'untried';",
    to: "return 'untried';",
    tests: ['test/queue'],
  },
  {
    name: 'a probe that told nothing is lost',
    file: 'src/limiter/limiter.ts',
    from: 'if (isProbe) await this.#halts.probeAgain(instanceId);',
    to: '',
    tests: ['test/limiter', 'test/queue'],
  },
  {
    name: 'a halt without jobs keeps all others out',
    file: 'src/limiter/halts/halt-store.ts',
    from: 'Math.abs(nowMs - nextProbeAt) <= OVERDUE_MS',
    to: 'nowMs > 0',
    tests: ['test/queue'],
  },
  {
    name: 'an item ends dead while its endpoint is out',
    file: 'src/queue/process/processor.ts',
    from: '!(await host.mayEndDead(answer))',
    to: 'performance.now() < 0',
    tests: ['test/queue/process'],
  },
  {
    name: 'a worker starts beside another name of its account',
    file: 'src/queue/worker/worker-registry.ts',
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
  {
    name: 'a change that is sent again is made again',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: 'if auditedBefore(stream, note) then return state end',
    to: '',
    tests: ['test/ledger/on-record.test.ts'],
  },
  {
    name: 'an audit entry that was cut off at the end is not missed',
    file: 'src/audit/chain.ts',
    from: 'let isHeadSeen = headSeq === null;',
    to: 'let isHeadSeen = true;',
    tests: ['test/audit'],
  },
  {
    name: 'audit entries need not name the one before',
    file: 'src/audit/chain.ts',
    from: 'entry.previous !== before.hash',
    to: 'false',
    tests: ['test/audit'],
  },
  {
    name: 'a window of a listing that shares nothing is taken as it is',
    file: 'src/core/walk.ts',
    from: 'window.start === 0 || this.#isShared(page.keys)',
    to: 'window.start === 0 || page.keys.length > 0',
    tests: ['test/core/walk.test.ts'],
  },
  {
    name: 'reads take all of the pace while a batch is running',
    file: 'src/inventory/reads.ts',
    from: 'if (isBusy())',
    to: 'if (isBusy() && false)',
    tests: ['test/inventory'],
    build: true,
  },
  {
    name: 'every role may do everything over HTTP',
    file: 'src/core/role.ts',
    from: 'return RIGHTS[role].includes(right);',
    to: 'return RIGHTS[role].length > 0 && right.length > 0;',
    tests: ['test/http/roles.test.ts'],
    build: true,
  },
  {
    name: 'a token approves what it has submitted itself',
    file: 'src/app/approve.ts',
    from: "if (who.name === awaiting.by?.name || who.sha256 === awaiting.by?.sha256) return { kind: 'own' };",
    to: "if (who.name === awaiting.by?.name && who.sha256 === '') return { kind: 'own' };",
    tests: ['test/http/approval.test.ts'],
    build: true,
  },
  {
    name: 'a large batch runs without an approval',
    file: 'src/app/submit.ts',
    from: 'above !== undefined && accepted > above &&',
    to: 'above !== undefined && accepted > above + 1_000_000 &&',
    tests: ['test/http/approval.test.ts'],
    build: true,
  },
  {
    name: 'an idempotency key is not bound where the batch begins',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "bind(batch, awaiting == '' and 'running' or 'awaits-approval')",
    to: '',
    tests: ['test/http/submit.test.ts'],
    build: true,
  },
  {
    name: 'a batch runs on a claim that is another process',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "if bound and bound[1] ~= holder then return '?' end",
    to: '',
    tests: ['test/http/submit.test.ts'],
    build: true,
  },
  {
    name: 'HTTP answers under the name of any host',
    file: 'src/http/server.ts',
    from: 'if (host !== undefined && isLoopback(host)) return undefined;',
    to: 'if (host !== undefined && (isLoopback(host) || true)) return undefined;',
    tests: ['test/http/identity.test.ts'],
    build: true,
  },
  {
    name: 'a page of another site may have a browser change something',
    file: 'src/http/access.ts',
    from: 'if (isOwnSite && isOwnOrigin && (isSaid || !byCookie)) return;',
    to: 'if (isOwnSite || isOwnOrigin || isSaid || byCookie) return;',
    tests: ['test/http/identity.test.ts'],
    build: true,
  },
  {
    name: 'a plan file may be used again',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "if usedFor then return '!' .. usedFor end",
    to: '',
    tests: ['test/ledger/plan.test.ts'],
  },
  {
    name: 'the certificates of a plan file may be edited',
    file: 'src/plan/plan-file.ts',
    from: "if (hash.digest('hex') !== header.sha256) throw edited();",
    to: "if (hash.digest('hex') === `x${header.sha256}`) throw edited();",
    tests: ['test/plan/submit-plan.test.ts'],
    build: true,
  },
  {
    name: 'a signature holds for any text',
    file: 'src/queue/signature.ts',
    from: 'timingSafeEqual(hmac(key, text), ',
    to: "timingSafeEqual(Buffer.from(sig, 'hex'), ",
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a signature does not cover the id of its job',
    file: 'src/core/direct-job.ts',
    from: 'const parts = [SCHEME, jobId, instanceId,',
    to: "const parts = [SCHEME, '', instanceId,",
    tests: ['test/queue/signature.test.ts', 'test/core/direct-job.test.ts'],
  },
  {
    name: 'a signature holds after it has expired',
    file: 'src/core/direct-job.ts',
    from: 'if (left <= 0) return',
    to: 'if (left <= -86_400) return',
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a signature may hold for longer than a day',
    file: 'src/core/direct-job.ts',
    from: 'if (left > SIGNED_FOR_MOST_S)',
    to: 'if (left > 2 * SIGNED_FOR_MOST_S)',
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a direct batch takes in more than its hourly limit',
    file: 'src/ledger/adopt-script.lua.ts',
    from: 'count >= tonumber(maxPerHour)',
    to: 'count > tonumber(maxPerHour)',
    tests: ['test/ledger/direct-hour.test.ts'],
  },
  {
    name: 'refused jobs use up the hourly limit',
    file: 'src/ledger/adopt-script.lua.ts',
    from: "if not isRefused then redis.call('HSET', record, 'taken'",
    to: "if true then redis.call('HSET', record, 'taken'",
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a job that names a refused item has it called for',
    file: 'src/queue/process/resolve-job.ts',
    from: '?.refused !== undefined)\n      return',
    to: '?.refused === "never")\n      return',
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a refused item that waits is called for',
    file: 'src/queue/process/item-runner.ts',
    from: 'item.refused === undefined',
    to: 'item.refused !== "never"',
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a refused job ends what was taken in under its name',
    file: 'src/ledger/adopt-script.lua.ts',
    from: "if isRefused then key = key .. '#' .. redis.sha1hex(certificate .. refused) end",
    to: '',
    tests: ['test/queue/submit/direct-rules.test.ts'],
  },
  {
    name: 'a resumed direct batch begins no new hour',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "redis.call('HDEL', record, 'taken')",
    to: '',
    tests: ['test/ledger/direct-hour.test.ts'],
  },
  {
    name: 'single certificates of every instance are taken in',
    file: 'src/core/direct-job.ts',
    from: 'if (instances !== undefined && !instances.includes(instanceId))',
    to: "if (instances !== undefined && instanceId === '')",
    tests: ['test/core/direct-job.test.ts'],
  },
  {
    name: 'the breaker of a direct batch judges nothing',
    file: 'src/queue/feed/direct-breaker.ts',
    from: "if (verdict.kind !== 'pause') return;",
    to: "if (verdict.kind !== 'feed') return;",
    tests: ['test/queue/feed/direct-breaker.test.ts'],
  },
  {
    name: 'the breaker of a direct batch judges all that it ever settled',
    file: 'src/queue/feed/direct-breaker.ts',
    from: 'Math.min(settled, Math.max(DIRECT_WINDOW, breaker.minSample))',
    to: 'Number.MAX_SAFE_INTEGER',
    tests: ['test/queue/feed/direct-breaker.test.ts'],
  },
  {
    name: 'the pause of a library by its hourly limit is not in its audit file',
    file: 'src/app/submit-direct.ts',
    from: 'if (error instanceof HourlyLimitReached)',
    to: 'if (error instanceof DirectRefused)',
    tests: ['test/app/submit-direct.test.ts'],
  },
  {
    name: 'a plan file is good for ever',
    file: 'src/app/submit-plan.ts',
    from: 'Math.abs(ageMs) > PLAN_GOOD_MS',
    to: 'Math.abs(ageMs) > 1_000 * PLAN_GOOD_MS',
    tests: ['test/plan/submit-plan.test.ts'],
    build: true,
  },
  {
    name: 'slots are given although all calls are stopped',
    file: 'src/limiter/pace/pace-script.ts',
    from: 'if stopped then wanted = 0 end',
    to: '',
    tests: ['test/limiter/halts/stop.test.ts'],
  },
  {
    name: 'a probe that waits is forgotten where all calls are stopped',
    file: 'src/limiter/limiter.ts',
    from: 'this.#halts.stop === undefined ? NOT_TO_PROBE : RANKS',
    to: 'NOT_TO_PROBE',
    tests: ['test/limiter/halts/stop.test.ts'],
  },
  {
    name: 'an account is paced above its configuration',
    file: 'src/app/pace.ts',
    from: 'if (qps >= known.qps)',
    to: 'if (qps >= 1_000 * known.qps)',
    tests: ['test/app/controls.test.ts'],
  },
  {
    name: 'a lowered pace is not obeyed',
    file: 'src/limiter/pace/pace-script.ts',
    from: '(SECOND + clock.late) / (inForce * factor)',
    to: '(SECOND + clock.late) / (clock.qps * factor)',
    tests: ['test/limiter/pace/lowered-pace.test.ts'],
  },
  {
    name: 'a lowered pace has no end',
    file: 'src/limiter/pace/clock-script.ts',
    from: 'return lowered and loweredUntil > now and lowered or nil',
    to: 'return lowered',
    tests: ['test/limiter/pace/lowered-pace.test.ts'],
  },
  {
    name: 'the action of a batch is ignored when it is called for',
    file: 'src/queue/process/item-calls.ts',
    from: '      return client.inactivateDeviceCertificate(certificate, notAfterMs);',
    to: '      return client.deleteDeviceCertificate(certificate, notAfterMs);',
    tests: ['test/queue/process/actions.test.ts'],
  },
  {
    name: 'a waiting item is deleted whatever its batch is for',
    file: 'src/queue/process/resolve-claim.ts',
    from: ' ...step,',
    to: " action: 'delete',",
    tests: ['test/queue/process/actions.test.ts'],
  },
  {
    name: 'absence makes inactivated',
    file: 'src/core/decide.ts',
    from: "if (action !== 'delete') return { kind: 'dead', code, message };",
    to: "if (action !== 'delete') return { kind: 'done', outcome: ENDS[action].done, confirmedBy: 'absence' };",
    tests: ['test/core/decide-actions.test.ts'],
  },
  {
    name: 'what is inactive after an unknown code was always so before',
    file: 'src/core/decide-by-read.ts',
    from: 'outcome: mayBeOurs ? done : already',
    to: 'outcome: already',
    tests: ['test/core/decide-actions.test.ts'],
  },
  {
    name: 'a certificate that is active still passes for inactivated',
    file: 'src/core/decide-by-read.ts',
    from: 'return read.data.status === statusAfter(action)',
    to: 'return read.data.status !== undefined',
    tests: ['test/core/decide-actions.test.ts'],
  },
  {
    name: 'the same manifest with another action is the same batch',
    file: 'src/ledger/plan.ts',
    from: 'if (this.#action !== DEFAULT_ACTION) this.#fingerprint',
    to: 'if (this.#accepted < 0) this.#fingerprint',
    tests: ['test/ledger/actions.test.ts'],
  },
  {
    name: 'older workers can read the certificates of a batch that does not delete',
    file: 'src/ledger/chunk.ts',
    from: 'action === DEFAULT_ACTION ? runs',
    to: 'action !== undefined ? runs',
    tests: ['test/ledger/actions.test.ts'],
  },
  {
    name: 'older workers may stay beside a batch that does not delete',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "redis.call('SET', layout, needed)",
    to: "redis.call('GET', layout)",
    tests: ['test/ledger/actions.test.ts'],
  },
  {
    name: 'verify names what is inactive of a batch that inactivates',
    file: 'src/core/action.ts',
    from: 'return statusAfter(action) !== status;',
    to: "return statusAfter(action) !== status || action === 'inactivate';",
    tests: ['test/core/decide-actions.test.ts'],
  },
  {
    name: 'a process that lost an occurrence activates its batch',
    file: 'src/ledger/occurrence-end.lua.ts',
    from: "return redis.call('GET', claim) == holder and",
    to: 'return true and',
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'an occurrence that has ended may end again',
    file: 'src/ledger/occurrence-end.lua.ts',
    from: "and redis.call('HEXISTS', ends, id) == 0",
    to: 'and true',
    tests: ['test/schedule'],
  },
  {
    name: 'a rule that comes back goes on where it was',
    file: 'src/schedule/schedule-scripts.lua.ts',
    from: 'elseif now - last > after then',
    to: 'elseif false then',
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'the window resumes what an operator paused',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "if isWindow and event == 'resume' and not isOfWindow then",
    to: 'if false then',
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'who pauses what the window has paused changes nothing',
    file: 'src/ledger/batch-scripts.lua.ts',
    from: "if not isWindow and event == 'pause' and isOfWindow",
    to: "if false and event == 'pause' and isOfWindow",
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'a run may overlap the batch before',
    file: 'src/schedule/ticker.ts',
    from: 'if (isOpen) return',
    to: 'if (isOpen && dueMs < 0) return',
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'a run that failed is followed by the next',
    file: 'src/schedule/run.ts',
    from: "how.state === 'failed' && isDue",
    to: "how.state === 'failed' && !isDue",
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'a run of any age is caught up',
    file: 'src/schedule/ticker.ts',
    from: 'Math.max(catchUpForMs, ON_TIME_MS)',
    to: 'Math.max(1e15, ON_TIME_MS)',
    tests: ['test/schedule/ticker.test.ts'],
  },
  {
    name: 'a scheduled run passes its caps',
    file: 'src/app/schedule-run.ts',
    from: 'if (obstacle !== undefined) return',
    to: "if (obstacle === '') return",
    tests: ['test/schedule/run.test.ts'],
  },
  {
    name: 'an empty listing is taken for the truth',
    file: 'src/app/schedule-listing.ts',
    from: '(before.listed[key] ?? 0) > 0',
    to: '(before.listed[key] ?? 0) > 1e9',
    tests: ['test/schedule/run.test.ts'],
  },
  {
    name: 'a listing that was cut short is taken for whole',
    file: 'src/app/schedule-listing.ts',
    from: 'found.isShort ||= inventory.isCutShort ||',
    to: 'found.isShort ||= false ||',
    tests: ['test/schedule/run.test.ts'],
  },
  {
    name: 'a retirement does not ask the gate before a deletion',
    file: 'src/queue/process/deletion-gate.ts',
    from: "return { kind: 'inactive', end: { code: CA_ACTIVE, requestId, attempt } };",
    to: "return { kind: 'open' };",
    tests: ['test/queue/process/retire.test.ts'],
  },
  {
    name: 'a retirement deletes what is active again',
    file: 'src/core/retirement.ts',
    from: "return status === 'active'",
    to: 'return status === undefined',
    tests: ['test/queue/process/retire.test.ts'],
  },
  {
    name: 'a retirement does not soak',
    file: 'src/ledger/retirement.lua.ts',
    from: 'if now < tonumber(soakUntil) then',
    to: 'if false then',
    tests: ['test/queue/process/retire.test.ts'],
  },
];

if (process.argv[2] === '--texts') {
  const outdated = MUTATIONS.filter(({ file, from }) => readFileSync(file, 'utf8').split(from).length !== 2);
  for (const { name, file } of outdated) console.error(`OUTDATED: "${name}" no longer fits ${file}. Write it again.`);
  process.exit(outdated.length === 0 ? 0 : 1);
}
const [, , first, second] = process.argv;
const start = first === '--from' ? MUTATIONS.findIndex(({ name }) => name.includes(second)) : 0;
const only = first === '--from' ? undefined : first;
const chosen = MUTATIONS.slice(start).filter(({ name }) => only === undefined || name.includes(only));
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
    if (isBuilt === true && !isBuildable()) return 'NO BUILD';
    const { status, stdout } = runTests(tests);
    const failed = Number(/(\d+) failed\s*$/.exec(stdout)?.[1] ?? 0);
    // A run that fails without a failing test has proved nothing.
    return status !== 0 && failed > 0 ? 'noticed' : 'SURVIVED';
  } finally {
    writeFileSync(path, text);
    if (isBuilt === true) build();
  }
}

/** A mutation that the types refuse must be written again. */
function isBuildable() {
  try {
    build();
    return true;
  } catch {
    return false;
  }
}

function runTests(tests) {
  const args = ['vitest', 'run', '--mode', 'no-shrinking', '--bail', '1', ...tests];
  return spawnSync('npx', args, { cwd: copy, encoding: 'utf8' });
}

function build() {
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: copy, stdio: 'inherit' });
}
