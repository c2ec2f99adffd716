import { chmod, chown, lchown, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openInstallation, settingsOf, type Installation } from '../../../support/installation.ts';
import { isRoot, NOBODY } from './another-user.ts';
import { useEmbeddedPlace } from './embedded-place.ts';

describe.runIf(isRoot)('a data directory on a way that another user can turn elsewhere', () => {
  const place = useEmbeddedPlace();
  let installation: Installation;
  let parent: string;
  beforeEach(async () => {
    installation = await openInstallation();
    parent = join(installation.folder, 'theirs');
    await mkdir(parent);
    await installation.configure({ ...settingsOf(), dataDir: join(parent, 'state/data') });
  });
  afterEach(() => installation.remove());

  const status = () => installation.run(['status']);

  it('is not used by root where that user owns a folder above it, and nothing is made there', async () => {
    await chown(parent, NOBODY, NOBODY);
    const ended = await status();
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(
      `The data directory ${parent}/state/data is not used by root, because ${parent} belongs to user ${NOBODY}, neither to root nor to this user (0): run as that user (sudo -u '#${NOBODY}' certsweep ...), or choose another data directory`,
    );
    expect(await readdir(parent)).toEqual([]);
  });

  it('is not used by root where every user can write to a folder above it', async () => {
    await chmod(parent, 0o777);
    expect((await status()).stderr).toContain(
      `because every user can write to ${parent}: check that it is unchanged, then chmod o-w ${parent}, or choose another data directory`,
    );
    expect(await readdir(parent)).toEqual([]);
  });

  it('is not used by root where it is a link of that user, though in a folder where nobody else may touch it', async () => {
    await chmod(parent, 0o1777);
    const real = join(installation.folder, 'real');
    await mkdir(real);
    await symlink(real, join(parent, 'state'));
    await lchown(join(parent, 'state'), NOBODY, NOBODY);
    expect((await status()).stderr).toContain(`because ${parent}/state belongs to user ${NOBODY}`);
    expect(await readdir(real)).toEqual([]);
  });

  it('is used in a folder like /tmp, and with a warning where the members of a group can write', async () => {
    await chmod(parent, 0o1777);
    await mkdir(join(parent, 'state'), { mode: 0o770 });
    await chmod(join(parent, 'state'), 0o770);
    const redis = await place.open(join(parent, 'state/data'));
    await redis.close();
    expect(place.notices[0]).toEqual({
      kind: 'group-writable',
      thing: `${parent}/state/data`,
      path: `${parent}/state`,
      gid: 0,
    });
  });
});
