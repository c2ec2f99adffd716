import { expect, it } from 'vitest';
import { createProgram, loadCommands } from '../../src/cli/program.ts';

const namesOf = async (word?: string): Promise<string[]> =>
  createProgram(await loadCommands(word)).commands.map((command) => command.name());

it('loads the file of the command that is asked for, and all files where it knows no such command', async () => {
  const all = await namesOf();
  expect(all.length).toBeGreaterThan(20);
  for (const name of all) {
    const loaded = await namesOf(name);
    expect(loaded).toContain(name);
    // A file has the commands of one purpose.
    expect(loaded.length).toBeLessThanOrEqual(4);
    expect(all).toEqual(expect.arrayContaining(loaded));
  }
  for (const word of ['--help', 'sumbit', '']) expect(await namesOf(word)).toEqual(all);
});
