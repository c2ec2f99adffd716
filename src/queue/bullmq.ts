import { createRequire } from 'node:module';
import type * as bullmq from 'bullmq';

// Required, as ioredis is: of a CommonJS package that is imported, Node reads its 170 files twice to find its names.
const library = createRequire(import.meta.url)('bullmq') as typeof bullmq;

/** What is used of BullMQ at run time; its types are imported from the package itself. */
export const { DelayedError, Queue, WaitingError, Worker } = library;
