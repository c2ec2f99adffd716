import { defineConfig } from 'vitest/config';

/** `npm run test:faults`: the whole fault suite and the soak, one at a time, since each run loads the machine by itself. */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 180_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    maxWorkers: 1,
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
