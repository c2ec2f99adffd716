// Bottleneck, clustered over Redis, inside BullMQ workers: so much time between any two calls of all processes.
import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import { CAP } from './call.mjs';
import { connection, work } from './bull.mjs';

const limiter = new Bottleneck({
  id: 'onsmqtt',
  datastore: 'ioredis',
  Redis,
  clientOptions: connection,
  minTime: 1_000 / CAP,
});
limiter.on('error', (error) => console.error(error.message));
await limiter.ready();
work({ pace: (call) => limiter.schedule(call), close: () => limiter.disconnect() });
