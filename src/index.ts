export { KEY_PREFIX } from './queue/contract.ts';
