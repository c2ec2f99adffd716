// Bundles the command, because a start costs what Node has to find and read: some 250 small files took twice the CPU.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const OUTPUT = resolve('dist');
/** Where the parts of the bundle are. */
const PARTS = join(OUTPUT, 'command');
const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
/** Packages that every command loads, from some 180 files. All others stay where npm put them. */
const BUNDLED = ['commander', 'yaml', 'zod'];
const KEPT = Object.keys(dependencies).filter((name) => !BUNDLED.includes(name));
/** What this command loads, every command needs, and gets from one file. The rest is loaded when it is asked for, as in src/. */
const LEAST = join(OUTPUT, 'cli/status.js');

/** Replaces dist/cli/main.js, and writes the parts that it loads. */
export async function bundleCommand() {
  const bundle = await rolldown({
    input: { 'cli/main': join(OUTPUT, 'cli/main.js') },
    platform: 'node',
    external: (id) => id.startsWith('node:') || KEPT.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [{ name: 'own-places', transform: { filter: { code: 'import.meta.url' }, handler: ownPlace } }],
  });
  await bundle.write({
    dir: OUTPUT,
    entryFileNames: '[name].js',
    chunkFileNames: `${relative(OUTPUT, PARTS)}/[name].js`,
    codeSplitting: { groups: [{ name: 'least', test: (id) => id === LEAST, includeDependenciesRecursively: true }] },
  });
  await bundle.close();
  writeFileSync(join(PARTS, 'LICENSES'), BUNDLED.map(licenceOf).join('\n'));
}

/** A copy of a package goes with its licence. */
function licenceOf(name) {
  return `${name}\n\n${readFileSync(join('node_modules', name, 'LICENSE'), 'utf8')}`;
}

/** A module that looks for a file beside itself must not look beside a part. */
function ownPlace(code, id) {
  const place = relative(PARTS, id);
  return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(place)}, import.meta.url).href`);
}
