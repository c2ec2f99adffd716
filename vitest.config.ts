import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

export default defineConfig(({ mode }) => ({
  test: {
    include: ['test/**/*.test.ts'],
    // The whole fault suite takes minutes: npm run test:faults.
    exclude: ['test/faults/all/**'],
    setupFiles: mode === 'no-shrinking' ? ['test/support/no-shrinking.ts'] : [],
    globalSetup: ['test/support/global-setup.ts'],
    // Some take 30 s on a quiet machine, and others are three times slower.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    // Two more than CI has cores: most of their time tests wait, for locks that run out or retries that come.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // Loading everything again for each file would take a fifth of the time. What a test replaces, it puts back.
    isolate: false,
    // The closing line that CI reads comes from this reporter, beside the usual one.
    reporters: ['default', './test/support/closing-line.ts'],
  },
}));
