import { createRequire } from 'node:module';
import type * as ioredis from 'ioredis';

// Required: of a CommonJS package that is imported, Node 20 reads all files twice to find its names, a tenth of the time a command takes to start.
const library = createRequire(import.meta.url)('ioredis') as typeof ioredis;

/** What is used of ioredis at run time; its types are imported from the package itself. */
export const { AbstractConnector, Cluster, Redis } = library;
