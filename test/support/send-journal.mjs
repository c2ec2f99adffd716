// Loaded into a worker with `node --import`: writes the moment of each request at once, on the clock that all processes of the host share, so that a
// kill -9 loses none but the one that was just written.
import { subscribe } from 'node:diagnostics_channel';
import { openSync, writeSync } from 'node:fs';

const file = openSync(process.env.SENDS_FILE, 'a');
subscribe('http.client.request.start', () => {
  writeSync(file, `${Number(process.hrtime.bigint()) / 1e6}\n`);
});
