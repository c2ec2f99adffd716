// Loaded into a worker with `node --import`: notes the moment of each request on the clock that all processes of the host share, in
// milliseconds, and writes them out at the end.
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';

const times = [];
subscribe('http.client.request.start', () => {
  times.push(Number(process.hrtime.bigint()) / 1e6);
});
process.once('exit', () => writeFileSync(process.env.SENDS_FILE, JSON.stringify(times)));
