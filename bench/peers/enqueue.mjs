// The producer of the BullMQ programs: node enqueue.mjs <list of serial numbers>
import { readFileSync } from 'node:fs';
import { Queue } from 'bullmq';
import { JOB, QUEUE, connection } from './bull.mjs';

const BULK = 1_000;
const queue = new Queue(QUEUE, { connection });
const serials = readFileSync(process.argv[2], 'utf8').trimEnd().split('\n');
for (let from = 0; from < serials.length; from += BULK) {
  const jobs = serials.slice(from, from + BULK).map((deviceSn) => ({ name: 'revoke', data: { deviceSn }, opts: JOB }));
  await queue.addBulk(jobs);
}
await queue.close();
