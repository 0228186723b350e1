/** axe finds nothing on any view, with the states that a view can be in. In dark only the contrast can be another. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sound as check } from '../axe.mjs';
import { Fixture } from '../fixture.mjs';
import { Shell, VIEWS } from '../pages.mjs';
import { SIZES, launch, open } from '../rig.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing, ${colorScheme}`, async () => {
    const fixture = await new Fixture().start();
    const { page, close } = await open(browser, { colorScheme, reducedMotion: 'reduce' });
    const shell = new Shell(page, fixture.url);
    const sound = (page, what) => check(page, what, colorScheme);
    await shell.open('chat');
    await sound(page, 'empty chat');
    await shell.chat.say('list containers');
    await shell.chat.say('destroy cache-01');
    await shell.chat.say('show the load');
    await shell.chat.say('show web-01 as a tree');
    await shell.chat.say('what?');
    await shell.chat.say('fail');
    await shell.chat.say('slow');
    await page.locator('progress').waitFor();
    await sound(page, 'chat');
    await shell.chat.field.fill('create');
    await page.getByRole('option').first().waitFor();
    await page.keyboard.press('ArrowDown');
    await sound(page, 'completions');
    await page.keyboard.press('Escape');
    fixture.openWindow(60);
    await page.getByRole('button', { name: 'Keep them' }).waitFor();
    await sound(page, 'window');
    await page.locator('op-plan').first().getByRole('button', { name: 'Apply' }).click();
    await page.getByRole('dialog').waitFor();
    await sound(page, 'typed name');
    await page.keyboard.press('Escape');
    for (const view of VIEWS.slice(1)) {
      await shell.open(view);
      await sound(page, view);
    }
    for (const [view, path] of [['containers', 'web-01'], ['ledger', '6'], ['tools', 'container_create'], ['tools', 'task_submit'], ['tools', 'nothing']]) {
      await shell.open(view, path);
      await sound(page, `${view}/${path}`);
    }
    await shell.open('topology');
    await page.getByText('As tables').click();
    await page.getByRole('button', { name: 'br0 bridge' }).click();
    await sound(page, 'topology with details');
    await shell.open('containers');
    await page.getByRole('button', { name: 'Stop web-01' }).click();
    await page.getByRole('button', { name: 'Apply' }).waitFor();
    await sound(page, 'plan');
    await page.goto(`${fixture.url}login.html`);
    await sound(page, 'login');
    await close();
    await fixture.stop();
  });
}

for (const [size, viewport] of Object.entries(SIZES)) {
  test(`nothing is wider than the page, and targets are large enough: ${size}`, async () => {
    const fixture = await new Fixture().start();
    const { page, close } = await open(browser, { viewport, hasTouch: size !== 'desk' });
    const shell = new Shell(page, fixture.url);
    await shell.open('chat');
    await shell.chat.say('list containers');
    await shell.chat.say('create container a-container-with-quite-a-long-name-that-goes-on-and-on-and-on with socket networking');
    await shell.chat.plan().waitFor();
    const places = [...VIEWS.map((view) => [view, '']), ['containers', 'web-01'], ['ledger', '6'], ['tools', 'container_create'], ['tools', 'task_submit']];
    for (const [view, path] of places) {
      await shell.open(view, path);
      const found = await page.evaluate(() => {
        const wide = [...document.querySelectorAll('body *')].filter((each) => !each.closest('.scroll, pre, .unseen, svg') && each.getClientRects().length && each.getBoundingClientRect().right > innerWidth + 1);
        const small = [...document.querySelectorAll('button, .button, input, select, textarea, nav a, summary')].filter((each) => each.getClientRects().length && !each.matches('[type=checkbox], .tree summary') && each.getBoundingClientRect().height < 43.5);
        const broken = [...document.querySelectorAll('nav a span')].filter((each) => each.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(each).lineHeight));
        return { wide: wide.map((each) => each.outerHTML.slice(0, 100)), broken: broken.map((each) => each.outerHTML.slice(0, 100)), small: small.map((each) => each.outerHTML.slice(0, 100)), scrolls: document.documentElement.scrollWidth > innerWidth };
      });
      assert.deepEqual(found, { wide: [], broken: [], small: [], scrolls: false }, `${view}/${path}`);
    }
    await close();
    await fixture.stop();
  });
}
