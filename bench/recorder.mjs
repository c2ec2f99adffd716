// Loaded into a worker with `node --import`: notes when each request leaves, on the clock that all processes of the host share, and writes the
// times out at the end. The sender's own times are the judge: arrivals are stamped by a witness whose event loop may stall.
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';

// Processes that share an environment write a file each.
const path = process.env.BENCH_SENDS?.replace('%p', String(process.pid));
const times = [];
subscribe('http.client.request.start', () => {
  times.push(Number(process.hrtime.bigint()) / 1e6);
});
process.on('exit', () => {
  if (path !== undefined) writeFileSync(path, JSON.stringify(times));
});
