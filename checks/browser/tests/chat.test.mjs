/** The conversation: plans, approvals by keyboard alone, running calls, and what is said to screen readers. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Fixture } from '../fixture.mjs';
import { Shell } from '../pages.mjs';
import { launch, open } from '../rig.mjs';

let browser, fixture, session, page, shell, chat;
before(async () => { browser = await launch(); });
after(() => browser.close());
beforeEach(async () => {
  fixture = await new Fixture({ stepMs: 60 }).start();
  session = await open(browser);
  ({ page } = session);
  shell = new Shell(page, fixture.url);
  ({ chat } = shell);
  await shell.open('chat');
});
afterEach(async () => {
  await session.close();
  await fixture.stop();
});

const sent = (type) => fixture.frames.filter((frame) => frame.type === type);

test('a read is a card with a table, and an answer', async () => {
  await chat.say('show me all containers');
  await chat.answer().getByText('3 containers').waitFor();
  const card = chat.tool('List containers');
  assert.deepEqual(await card.locator('tbody th').allTextContents(), ['web-01', 'db-01', 'cache-01']);
  await card.getByRole('button', { name: 'State' }).click();
  await card.getByRole('button', { name: 'State' }).click();
  assert.equal(await card.locator('tbody th').first().textContent(), 'cache-01');
  assert.equal(await card.locator('thead th').nth(1).getAttribute('aria-sort'), 'descending');
});

test('a plan is approved by keyboard alone, and its entry is in the ledger', async () => {
  await page.keyboard.type('create container web-02 with socket networking');
  await page.keyboard.press('Enter');
  await chat.plan().getByText('lxc/container:web-02').waitFor();
  assert.equal(fixture.world.containers.length, 3, 'nothing is done before it is approved');
  // Back from the field to the plan's buttons.
  for (let presses = 0; presses < 10 && await page.evaluate(() => document.activeElement?.textContent) !== 'Apply'; presses += 1) await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await chat.plan().getByText('applied').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.closest('op-plan') !== null), true, 'the focus stays');
  const entry = chat.tool('Create a container').getByRole('link', { name: /Ledger entry/ });
  await entry.waitFor();
  assert.deepEqual(sent('approve'), [{ type: 'approve', plan: sent('approve')[0].plan }]);
  await entry.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'container_create web-02' }).waitFor();
});

test('what destroys takes the name, and nothing else will do', async () => {
  await chat.say('destroy cache-01');
  await chat.apply();
  const dialog = page.getByRole('dialog', { name: 'Destroy a container' });
  const go = dialog.locator('button[type=submit]');
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'INPUT');
  await page.keyboard.type('cache-02');
  assert.equal(await go.isDisabled(), true);
  await page.keyboard.press('Enter');
  assert.equal(await dialog.isVisible(), true);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.deepEqual(sent('approve'), []);
  await chat.apply();
  await chat.confirmByName('cache-01');
  await chat.plan().getByText('applied').waitFor();
  assert.equal(sent('approve')[0].name, 'cache-01');
  await chat.tool('Destroy a container').getByText('Ledger entry').waitFor();
  assert.equal(fixture.world.containers.length, 2);
});

test('Cancel cancels, and Change brings the sentence back', async () => {
  await chat.say('create container web-03');
  await chat.plan().getByRole('button', { name: 'Cancel' }).click();
  await chat.plan().getByText('cancelled').waitFor();
  await chat.say('create container web-04');
  await chat.plan().getByText('web-04').first().waitFor();
  await chat.plan().getByRole('button', { name: 'Change' }).click();
  assert.equal(await chat.field.inputValue(), 'create container web-04');
  assert.equal(await chat.field.evaluate((field) => field === document.activeElement), true);
  assert.equal(sent('cancel').length, 2);
  assert.equal(sent('approve').length, 0);
});

test('a running call shows its progress, and Stop takes it back', async () => {
  await chat.say('slow');
  await chat.tool().getByText(/step \d+ \(\d+ of 600\)/).waitFor();
  await chat.tool().getByRole('button', { name: 'Stop' }).click();
  await chat.tool().getByText('cancelled').waitFor();
  assert.equal(sent('stop').length, 1);
});

test('only finished answers are announced', async () => {
  await page.evaluate(() => {
    window.announced = [];
    new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => window.announced.push(node.textContent)))).observe(document.querySelector('body > [aria-live=polite]'), { childList: true });
  });
  assert.equal(await chat.log.getAttribute('aria-live'), 'off');
  await chat.say('explain');
  await page.locator('.message.stream').waitFor();
  await chat.answer().getByText('shares the kernel').waitFor();
  assert.deepEqual(await page.evaluate(() => window.announced), ['A container shares the kernel of its host.']);
});

test('completions are a combobox that the keyboard works', async () => {
  await page.keyboard.type('create');
  await page.getByRole('option').first().waitFor();
  assert.equal(await chat.field.getAttribute('aria-expanded'), 'true');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  const active = await chat.field.getAttribute('aria-activedescendant');
  assert.equal(await page.locator(`#${active}`).getAttribute('aria-selected'), 'true');
  await page.keyboard.press('Enter');
  assert.equal(await chat.field.inputValue(), 'create container web-02 with socket networking');
  assert.equal(sent('message').length, 0, 'to choose is not to send');
  await page.keyboard.press('Enter');
  await chat.plan().waitFor();
  await page.keyboard.press('ArrowUp');
  assert.equal(await chat.field.inputValue(), 'create container web-02 with socket networking');
});

test('what is not understood offers what is near', async () => {
  await chat.say('flurb the grommet');
  await page.getByRole('group', { name: 'Did you mean' }).getByRole('button', { name: 'show me all containers' }).click();
  await chat.answer().getByText('3 containers').waitFor();
});

test('a confirm window counts down, and is kept', async () => {
  await chat.say('risky');
  await page.getByRole('timer').getByText(/^\d+ s$/).waitFor();
  await page.getByRole('button', { name: 'Keep them' }).click();
  await page.getByRole('button', { name: 'Keep them' }).waitFor({ state: 'hidden' });
  assert.equal(sent('confirm').length, 1);
});

test('two browsers of a user see the same', async () => {
  const other = await open(browser);
  const second = new Shell(other.page, fixture.url);
  await second.open('chat');
  await chat.say('create container web-05');
  await second.chat.plan().getByText('lxc/container:web-05').waitFor();
  await second.chat.apply();
  await chat.plan().getByText('applied').waitFor();
  await chat.tool('Create a container').getByText('done', { exact: true }).waitFor();
  await other.close();
});
