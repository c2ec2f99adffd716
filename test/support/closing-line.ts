import type { Reporter, TestCase, TestModule } from 'vitest/node';

/**
 * Ends a run with a `FAILED` line for each failure, so that the tail of a log says what failed, and then `N passed, N failed`. A file that fails to load
 * counts as one failure.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly { readonly message?: string }[]): void {
    let passed = 0;
    const failures = unhandledErrors.map(({ message }) => lineOf('outside of a test', message));
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      passed += tests.filter((test) => test.result().state === 'passed').length;
      const failed = tests.filter((test) => test.result().state === 'failed');
      failures.push(...failed.map((test) => lineOf(`${module.relativeModuleId} > ${test.fullName}`, messageOf(test))));
      if (failed.length === 0 && module.state() === 'failed')
        failures.push(lineOf(module.relativeModuleId, module.errors()[0]?.message));
    }
    const lines = [...failures, `${passed} passed, ${failures.length} failed`];
    process.once('exit', () => process.stdout.write(`${lines.join('\n')}\n`));
  }
}

function messageOf(test: TestCase): string | undefined {
  return test.result().errors?.[0]?.message;
}

function lineOf(where: string, message = 'no message'): string {
  const lines = message.split('\n').filter((line) => line.trim() !== '');
  return `FAILED: ${where}: ${lines.slice(0, 6).join(' | ').slice(0, 600)}`;
}
