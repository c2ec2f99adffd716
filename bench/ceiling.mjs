// The whole pipeline with both caps lifted: what one worker process can do, and what a certificate costs.
import { cpuSeconds, openRedis, startStack } from './stack.mjs';

const COUNT = 40_000;
/** Measured between these shares of the batch: after the ramp, before the tail. */
const FROM = 0.1;
const TO = 0.9;
const LIFTED_QPS = 10_000;

export async function benchCeiling() {
  const stack = await startStack({ accountQps: LIFTED_QPS, egressQps: LIFTED_QPS });
  try {
    const worker = stack.startWorker({ record: false });
    const batch = stack.submit(COUNT);
    const redis = openRedis(stack.folder);
    const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))[1]);
    const look = async () => ({
      atMs: performance.now(),
      settled: Number(await redis.hget(`{certsweep}:batch:${batch}`, 'revoked')),
      cpu: cpuSeconds(worker.pid),
      redisCpu: cpuSeconds(redisPid),
      commands: Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))[1]),
    });
    const start = await until(look, COUNT * FROM);
    const end = await until(look, COUNT * TO);
    await stack.settled(batch, 120_000);
    redis.disconnect();
    await worker.stop();
    const items = end.settled - start.settled;
    const round = (value, digits = 3) => Number(value.toFixed(digits));
    return {
      perSecond: Math.round((items * 1_000) / (end.atMs - start.atMs)),
      workerCpuMs: round(((end.cpu - start.cpu) * 1_000) / items),
      redisCpuMs: round(((end.redisCpu - start.redisCpu) * 1_000) / items),
      redisCommands: round((end.commands - start.commands) / items, 1),
    };
  } finally {
    await stack.stop();
  }
}

async function until(look, settled) {
  for (;;) {
    const seen = await look();
    if (seen.settled >= settled) return seen;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
