/** Whatever names, journals, ledgers and answers say, it stays text; and the policy of the page is never in its own way. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Fixture } from '../fixture.mjs';
import { HOSTILE } from '../fixture/world.mjs';
import { Shell, VIEWS } from '../pages.mjs';
import { SIZES, launch, open } from '../rig.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('markup in every field stays text', async () => {
  const fixture = await new Fixture({ hostile: true }).start();
  const { page, close } = await open(browser, { viewport: SIZES.tiny });
  const shell = new Shell(page, fixture.url);
  const sound = async (where) => {
    const found = await page.evaluate(() => ({ pwned: window.pwned, foreign: document.querySelectorAll('img:not([src="icon.svg"]), script:not([src]), iframe, object, [onerror], [onclick]').length, links: [...document.links].filter(({ protocol }) => !/^(https?|data):$/.test(protocol)).length, wide: document.documentElement.scrollWidth > innerWidth }));
    assert.deepEqual(found, { pwned: undefined, foreign: 0, links: 0, wide: false }, where);
  };
  await shell.open('chat');
  for (const text of ['list containers', 'plot the load', 'tree', `create container ${HOSTILE.replaceAll(' ', '')}`, HOSTILE, 'fail', 'explain', 'slow']) await shell.chat.say(text);
  await page.getByText('good', { exact: true }).waitFor();
  await page.locator('progress').waitFor();
  await sound('chat');
  assert.equal(await page.getByRole('link', { name: 'bad' }).count(), 0);
  assert.equal(await page.getByRole('link', { name: 'good' }).getAttribute('rel'), 'noopener noreferrer nofollow');
  assert.ok((await shell.chat.log.textContent()).includes('<script>window.pwned=1</script>'));
  for (const view of VIEWS.slice(1)) {
    await shell.open(view);
    assert.ok(await page.getByText('onerror').count() > 0, `${view} shows the text`);
    await sound(view);
  }
  await shell.open('containers', encodeURIComponent(fixture.world.containers[0].name));
  await page.locator('.journal').getByText('onerror').first().waitFor();
  await sound('container');
  await shell.open('ledger', '4');
  await page.getByText('onerror').first().waitFor();
  await sound('entry');
  await page.getByRole('button', { name: 'Prove it' }).click();
  await page.locator('.verdict.good').waitFor();
  await shell.open('tools', encodeURIComponent('"><img src=x onerror=window.pwned=1>'));
  await sound('tool that is not there');
  await close();
  await fixture.stop();
});

test('a policy that is broken is noticed', async () => {
  const fixture = await new Fixture().start();
  const { page, faults, context } = await open(browser);
  await page.goto(`${fixture.url}chat.html`);
  await page.evaluate(() => {
    const script = document.createElement('script');
    try {
      script.textContent = 'window.pwned = 1';
    } catch (error) {
      console.error(String(error));
    }
    document.body.append(script);
  });
  assert.ok(faults.length > 0);
  await context.close();
  await fixture.stop();
});

test('with reduced motion nothing moves', async () => {
  const fixture = await new Fixture().start();
  const { page, close } = await open(browser, { reducedMotion: 'reduce' });
  const shell = new Shell(page, fixture.url);
  await shell.open('chat');
  await shell.chat.say('explain');
  await page.locator('.message.stream').waitFor();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await close();
  await fixture.stop();
});
