/** A connection that is lost, a session that ends, a server that forgets: nothing is lost and nothing is done twice. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Fixture } from '../fixture.mjs';
import { Shell } from '../pages.mjs';
import { launch, open } from '../rig.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function begin(options) {
  const fixture = await new Fixture(options).start();
  // A connection that is refused is told by the browser; that is what these tests are about.
  const session = await open(browser, { allow: /WebSocket|401|ERR_CONNECTION/ });
  const shell = new Shell(session.page, fixture.url);
  return { fixture, ...session, shell, chat: shell.chat, end: async () => { await session.close(); await fixture.stop(); } };
}

test('what happened while one was away comes, in order and once', async () => {
  const { fixture, page, shell, chat, end } = await begin();
  await shell.open('chat');
  await chat.say('list containers');
  await chat.answer().waitFor();
  fixture.drop({ refuse: true });
  await page.getByText('No connection').waitFor();
  fixture.tell({ type: 'user', id: 'x1', content: 'from elsewhere' });
  fixture.tell({ type: 'assistant', id: 'x2', content: 'answered meanwhile' });
  await chat.say('destroy cache-01');
  await page.getByText('sending…').waitFor();
  fixture.accept();
  await shell.reconnect();
  await chat.plan().getByText('lxc/container:cache-01').waitFor();
  assert.equal(await page.getByText('sending…').count(), 0);
  const texts = await page.locator('op-message').allTextContents();
  for (const text of ['list containers', 'from elsewhere', 'answered meanwhile', 'destroy cache-01']) {
    assert.equal(texts.filter((each) => each.includes(text)).length, 1, text);
  }
  assert.equal(fixture.told.filter(({ type }) => type === 'plan').length, 1);
  await end();
});

test('a message that was sent twice is done once', async () => {
  const { fixture, shell, chat, end } = await begin();
  await shell.open('chat');
  // The connection ends after the message came and before it was told back.
  const { tell } = fixture;
  fixture.tell = () => null;
  await chat.say('create container web-09');
  while (!fixture.frames.some(({ type }) => type === 'message')) await new Promise((next) => setTimeout(next, 5));
  fixture.seen.clear();
  fixture.tell = tell;
  fixture.drop();
  await chat.plan().getByText('lxc/container:web-09').waitFor();
  const ids = fixture.frames.filter(({ type }) => type === 'message').map(({ id }) => id);
  assert.deepEqual(ids, [ids[0], ids[0]]);
  await end();
});

test('a server that has forgotten is asked for its history', async () => {
  const { fixture, page, shell, chat, end } = await begin();
  await shell.open('chat');
  await chat.say('list containers');
  await chat.answer().waitFor();
  fixture.told.length = 0;
  fixture.conversation = 'c2';
  fixture.seen.clear();
  fixture.tell({ type: 'user', id: 'y1', content: 'another history' });
  fixture.drop();
  await page.getByText('another history').waitFor();
  assert.equal(await page.locator('op-message').count(), 1);
  await end();
});

test('the history of a long conversation is read in pages, and what was in view stays', async () => {
  const { fixture, page, shell, end } = await begin();
  for (let at = 1; at <= 250; at += 1) fixture.tell({ type: 'user', id: `h${at}`, content: `message ${at}.` });
  await shell.open('chat');
  await page.getByText('message 250.').waitFor();
  assert.equal(await page.getByText('message 150.').count(), 0);
  await page.getByRole('button', { name: 'Show earlier messages' }).click();
  await page.getByText('message 51.').waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Show earlier messages' }).click();
  await page.getByText('message 1.', { exact: true }).waitFor({ state: 'attached' });
  assert.equal(await page.getByRole('button', { name: 'Show earlier messages' }).isVisible(), false);
  assert.equal(await page.locator('op-message').count(), 250);
  await end();
});

test('a plan cannot be approved while there is no connection', async () => {
  const { fixture, page, shell, chat, end } = await begin();
  await shell.open('chat');
  await chat.say('create container web-09');
  await chat.plan().getByRole('button', { name: 'Apply' }).waitFor();
  fixture.drop({ refuse: true });
  await page.getByText('No connection').waitFor();
  assert.equal(await chat.plan().getByRole('button', { name: 'Apply' }).isDisabled(), true);
  await end();
});

test('a session that is gone leads to the login page, and back to the view', async () => {
  const { fixture, page, shell, end } = await begin();
  await shell.open('ledger');
  fixture.loggedIn = false;
  fixture.drop({ code: 4401 });
  await page.waitForURL(/login\.html/);
  await page.getByLabel(/token/).fill('opdbus_wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').getByText('not known').waitFor();
  await page.getByLabel(/token/).fill('opdbus_good');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(/chat\.html#\/ledger/);
  await shell.settled('ledger');
  await end();
});

test('a login link logs in, and its code leaves the address', async () => {
  const { page, fixture, end } = await begin({ loggedIn: false });
  await page.goto(`${fixture.url}login.html#GOOD`);
  await page.waitForURL(/chat\.html$/);
  await page.getByText('anna').first().waitFor();
  // Whoever is logged in is asked before a link makes them somebody else.
  await page.goto(`${fixture.url}login.html#USED`);
  await page.getByText('You are logged in as anna').waitFor();
  assert.equal(new URL(page.url()).hash, '');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').getByText('Codes are valid').waitFor();
  assert.equal(new URL(page.url()).hash, '');
  await end();
});
