/** Every view of a real host: no fault that a program can find, at three sizes, in light and dark; and what the page weighs. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sound } from '../axe.mjs';
import { Shell, VIEWS } from '../pages.mjs';
import { SIZES, launch, logIn, open } from '../rig.mjs';
import { Host } from './host.mjs';

const MOST_BYTES = 100_000;
const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const host = new Host();
let browser, storageState;
before(async () => {
  browser = await launch();
  storageState = await logIn(browser, host.link());
  mkdirSync(RESULTS, { recursive: true });
});
after(() => browser.close());

test('the first view weighs less than 100 kB', async (t) => {
  const { page, context, close } = await open(browser, { storageState });
  const protocol = await context.newCDPSession(page);
  await protocol.send('Network.enable');
  const addresses = new Map();
  const bytes = { page: 0, conversation: 0 };
  protocol.on('Network.responseReceived', ({ requestId, response }) => addresses.set(requestId, response.url));
  protocol.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    // What was said before is as long as it is, and comes after the first paint.
    bytes[addresses.get(requestId)?.includes('/api/history') ? 'conversation' : 'page'] += encodedDataLength;
  });
  const shell = new Shell(page, host.url);
  await shell.open('chat');
  await page.waitForLoadState('networkidle');
  t.diagnostic(`chat: ${(bytes.page / 1000).toFixed(1)} kB, headers included, and ${(bytes.conversation / 1000).toFixed(1)} kB of conversation`);
  assert.ok(bytes.page > 0 && bytes.page < MOST_BYTES, `${bytes.page} bytes`);
  await close();
});

const PLACES = [...VIEWS.map((view) => [view, '']), ['containers', 'web-01'], ['ledger', '1'], ['tools', 'container_create']];

for (const size of ['phone', 'tablet', 'desk']) {
  test(`every view is sound and fits: ${size}`, async () => {
    const { page, close } = await open(browser, { storageState, viewport: SIZES[size], reducedMotion: 'reduce', allow: /404/ });
    const shell = new Shell(page, host.url);
    for (const [view, path] of PLACES) {
      await shell.open(view, path);
      const name = path ? `${view}-${path}` : view;
      await page.screenshot({ path: `${RESULTS}${name}-${SIZES[size].width}.png` });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${name} is wider than the page`);
      // The tablet has the desk's elements; in dark only the colours are others, and they are the same at all sizes.
      if (size === 'tablet') continue;
      await sound(page, name, 'light');
      if (size !== 'desk') continue;
      await page.emulateMedia({ colorScheme: 'dark' });
      await sound(page, name, 'dark');
      await page.emulateMedia({ colorScheme: 'light' });
    }
    await close();
  });
}
