// BullMQ's own limiter, which counts over all workers of the queue: the cap for each second.
import { CAP } from './call.mjs';
import { work } from './bull.mjs';

work({ limiter: { max: CAP, duration: 1_000 } });
