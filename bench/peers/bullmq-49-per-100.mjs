// BullMQ's own limiter, in finer grains: a tenth of the cap for each tenth of a second.
import { CAP } from './call.mjs';
import { work } from './bull.mjs';

work({ limiter: { max: Math.floor(CAP / 10), duration: 100 } });
