import type { Scenario } from './scenario.ts';
import { ENDPOINT } from './scenarios/endpoint.ts';
import { OPERATOR } from './scenarios/operator.ts';
import { REDIS } from './scenarios/redis.ts';
import { WORKERS } from './scenarios/workers.ts';

/** Every fault of the suite that one batch on one rig can show, by what fails. */
export const SCENARIOS: readonly Scenario[] = [...WORKERS, ...REDIS, ...ENDPOINT, ...OPERATOR];
