/**
 * Pictures of the page for the documentation, each below 120 kB:
 *
 *   node screenshots.mjs [DIRECTORY]
 *
 * OPDBUS_URL   a login link or address of a real server; without it the fixture's made-up host
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Fixture } from './fixture.mjs';
import { SIZES, launch, logIn, open } from './rig.mjs';
import { Shell } from './pages.mjs';

const MOST_BYTES = 120_000;
const into = process.argv[2] ?? fileURLToPath(new URL('../../docs/images/', import.meta.url));
mkdirSync(into, { recursive: true });
const real = process.env.OPDBUS_URL;
const fixture = real ? null : await new Fixture().start();
const url = real ? new URL('./', real.split('#')[0]).href : fixture.url;
const browser = await launch();

/** Takes one picture; it is made smaller where `cwebp` is. */
async function picture(page, name) {
  const png = join(into, `${name}.png`);
  await page.screenshot({ path: png });
  const webp = join(into, `${name}.webp`);
  execFileSync('cwebp', ['-quiet', '-q', '82', png, '-o', webp]);
  rmSync(png);
  const { size } = statSync(webp);
  if (size > MOST_BYTES) throw new Error(`${webp} has ${size} bytes, and ${MOST_BYTES} is the most`);
  console.log(`${webp} ${size}`);
}

async function tour(size, colorScheme, suffix, views) {
  const { page, close } = await open(browser, { viewport: SIZES[size], colorScheme, deviceScaleFactor: size === 'phone' ? 2 : 1, storageState: state });
  const shell = new Shell(page, url);
  await shell.open('chat');
  if (!said) {
    said = true;
    await shell.chat.say('show me all containers');
    await shell.chat.answer().waitFor();
    await shell.chat.say('create container web-02 with socket networking');
    await shell.chat.plan().waitFor();
  }
  await page.getByRole('log').getByText('web-02').first().waitFor();
  await picture(page, `chat-${suffix}`);
  for (const view of views) {
    await shell.open(view);
    await page.waitForTimeout(200);
    await picture(page, `${view}-${suffix}`);
  }
  await close();
}

const state = real ? await logIn(browser, real) : undefined;
let said = false;
await tour('desk', 'light', 'light', ['containers', 'topology', 'ledger', 'tools', 'host']);
await tour('desk', 'dark', 'dark', ['topology']);
await tour('phone', 'light', 'phone', ['topology']);
await browser.close();
await fixture?.stop();
