/** The views beside the chat. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Fixture } from '../fixture.mjs';
import { Shell } from '../pages.mjs';
import { launch, open } from '../rig.mjs';

let browser, fixture, session, page, shell;
before(async () => { browser = await launch(); });
after(() => browser.close());
beforeEach(async () => {
  fixture = await new Fixture({ stepMs: 40 }).start();
  session = await open(browser, { allow: /404|409/ });
  ({ page } = session);
  shell = new Shell(page, fixture.url);
});
afterEach(async () => {
  await session.close();
  await fixture.stop();
});

test('a container is stopped after its plan was seen, and the list follows', async () => {
  await shell.open('containers');
  fixture.stalePlans = 1;
  await page.getByRole('button', { name: 'Stop web-01' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('lxc/container:web-01').waitFor();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  // The host changed in between: nothing is done without another look.
  await dialog.getByText('Make a new plan').waitFor();
  await dialog.getByRole('button', { name: 'Try again' }).click();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByRole('link', { name: /Ledger entry/ }).waitFor();
  await dialog.getByRole('link', { name: /Ledger entry/ }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'container_stop web-01' }).waitFor();
  await page.goBack();
  await page.getByRole('button', { name: 'Start web-01', exact: true }).waitFor();
});

test('a container is restarted once its plan has said that it is down in between', async () => {
  await shell.open('containers');
  await page.getByRole('button', { name: 'Restart web-01' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('is down in between').waitFor();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByRole('link', { name: /Ledger entry/ }).click();
  await page.getByRole('heading', { name: 'container_restart web-01' }).waitFor();
  // What does not run is started.
  await page.goBack();
  await page.getByRole('button', { name: 'Start cache-01' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Restart cache-01' }).count(), 0);
});

test('sizes are shown as people write them', async () => {
  await shell.open('containers');
  await page.getByRole('link', { name: 'cache-01' }).click();
  await page.getByRole('button', { name: 'Destroy…' }).click();
  await page.getByRole('dialog').getByText('512 MiB', { exact: true }).waitFor();
});

test('a container shows its details, console and journal', async () => {
  await shell.open('containers');
  await page.getByRole('listitem').filter({ hasText: 'db-01' }).getByText('4 GiB', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'db-01' }).click();
  await page.getByText('/var/lib/op-dbus/@containers/db-01').waitFor();
  await page.getByLabel('Console of db-01').getByText('nginx[77]: ready').waitFor();
  await page.getByLabel('Journal of db-01').getByText('nginx[77]: ready').waitFor();
  await page.getByRole('link', { name: 'All containers' }).click();
  await page.getByRole('link', { name: 'web-01' }).waitFor();
});

test('the topology follows what happens, and arrow keys go from node to node', async () => {
  await shell.open('topology');
  await page.getByRole('button', { name: 'br0 bridge, up' }).focus();
  await page.keyboard.press('ArrowLeft');
  const port = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
  assert.match(port ?? '', /^sock_.* port/);
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Open the container' }).waitFor();
  fixture.carryOut('container_create', { name: 'new-01', template: 'debian-base' });
  await page.getByRole('button', { name: 'new-01 container, running' }).waitFor();
  assert.match(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')) ?? '', / container, /, 'the focus stays');
  await page.getByText('As tables').click();
  await page.getByRole('row', { name: /new-01.*container/ }).first().waitFor();
});

test('the ledger has days, snapshots, a search, and grows by itself', async () => {
  await shell.open('ledger');
  await page.getByText('Snapshot before-upgrade').waitFor();
  fixture.carryOut('container_stop', { name: 'db-01' });
  await page.getByRole('link', { name: /container_stop db-01/ }).waitFor();
  await page.getByRole('searchbox').fill('snapshots');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: /snapshot_create/ }).waitFor();
  assert.equal(await page.getByRole('link', { name: /container_stop/ }).count(), 0);
  await page.getByRole('button', { name: 'Verify' }).click();
  await page.getByText('as they were written').first().waitFor();
});

test('an entry is proved in the browser, and a proof that was changed is not believed', async () => {
  for (const id of [0, 1, 6, 9]) {
    await shell.open('ledger', String(id));
    await page.getByRole('button', { name: 'Prove it' }).click();
    await page.locator('.verdict.good').getByText('by the ledger’s key').waitFor();
  }
  const { ledger } = fixture.world;
  const honest = ledger.proof.bind(ledger);
  const forgeries = [
    (id) => ({ ...honest(id), proof: honest(id).proof.replace(/extra (\S+)/, (_, extra) => `extra ${Buffer.from(Buffer.from(extra, 'base64').toString().replace('web-01', 'web-66')).toString('base64')}`) }),
    (id) => ({ ...honest(id), proof: honest(id).proof.replace(/\n10\n/, '\n11\n') }),
    (id) => ({ ...honest(id), proof: honest(id).proof.replace(/^index 2$/m, 'index 3') }),
    () => honest(3),
  ];
  for (const forged of forgeries) {
    ledger.proof = forged;
    await shell.open('ledger', '1');
    await shell.open('ledger', '2');
    await page.getByRole('button', { name: 'Prove it' }).click();
    await page.locator('.verdict.bad').waitFor();
  }
});

test('a form is made from a schema, nested ones too, and says what is missing', async () => {
  await shell.open('tools', 'task_submit');
  await page.getByRole('button', { name: 'Plan…' }).click();
  await page.getByRole('alert').getByText('it is required').waitFor();
  await page.getByRole('textbox', { name: /^operation/ }).fill('systemd_restart_unit');
  await page.getByLabel(/^arguments/).fill('{ no json');
  await page.getByRole('button', { name: 'Add steps' }).click();
  await page.getByLabel(/^what/).fill('first');
  await page.getByLabel(/^times/).fill('2');
  await page.getByRole('button', { name: 'Add tags' }).click();
  await page.getByLabel('tags 1', { exact: true }).fill('urgent');
  await page.getByRole('button', { name: 'Plan…' }).click();
  await page.getByRole('alert').getByText('JSON').waitFor();
  await page.getByLabel(/^arguments/).fill('{ "unit": "nginx.service" }');
  const [request] = await Promise.all([page.waitForRequest(/api\/tools\/task_submit/), page.getByRole('button', { name: 'Plan…' }).click()]);
  assert.deepEqual(request.postDataJSON(), {
    arguments: { operation: 'systemd_restart_unit', arguments: { unit: 'nginx.service' }, steps: [{ what: 'first', times: 2, tags: ['urgent'] }] }, dry_run: true,
  });
});

test('an example fills the form, and a read runs at once', async () => {
  await shell.open('tools');
  await page.getByRole('searchbox').fill('create con');
  await page.getByRole('status').getByText(/^1 of \d+$/).waitFor();
  await page.getByRole('link', { name: /Create a container/ }).click();
  await page.getByRole('button', { name: /^Example: name/ }).click();
  assert.equal(await page.getByLabel(/^template/).inputValue(), 'debian-base');
  await page.getByLabel(/^cores/).fill('0');
  await page.getByRole('button', { name: 'Plan…' }).click();
  await page.getByRole('alert').getByText('at least 1').waitFor();
  await shell.open('tools', 'systemd_list_units');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.getByRole('rowheader', { name: 'nginx.service' }).waitFor();
});

test('drift is planned and applied', async () => {
  await shell.open('host');
  await page.getByText('lxc/container:cache-01').waitFor();
  assert.match(await page.locator('svg.plot').first().getAttribute('aria-label') ?? '', /Processors: now .* %, between/);
  await page.getByRole('button', { name: 'Plan…' }).click();
  const [request] = await Promise.all([page.waitForRequest(/api\/apply/), page.getByRole('dialog').getByRole('button', { name: 'Apply' }).click()]);
  assert.equal(request.postDataJSON().plan.length, 64);
});

test('a plan that loses data takes the name of what is lost', async () => {
  fixture.plan = [{ plugin: 'btrfs', resource: 'subvolume:@data', verb: 'delete', destroys: true, before: { size_bytes: 4096 }, after: null }];
  await shell.open('host');
  await page.getByRole('button', { name: 'Plan…' }).click();
  await page.getByRole('dialog').getByText('4 KiB').waitFor();
  await page.getByRole('button', { name: 'Apply…' }).click();
  const dialog = page.getByRole('dialog').last();
  await dialog.getByRole('textbox').fill('@dat');
  assert.equal(await dialog.locator('button[type=submit]').isDisabled(), true);
  const [request] = await Promise.all([page.waitForRequest(/api\/apply/), shell.chat.confirmByName('@data')]);
  assert.deepEqual(request.postDataJSON().arguments, { allow_destroy: true });
});

test('what replaces data does not say that it deletes', async () => {
  fixture.plan = [{ plugin: 'snapshots', resource: 'before-upgrade', verb: 'update', destroys: true, before: {}, after: { subvolumes: ['@data'] } }];
  await shell.open('host');
  await page.getByRole('button', { name: 'Plan…' }).click();
  await page.getByRole('button', { name: 'Apply…' }).click();
  await page.getByRole('dialog').last().getByText('This replaces what is there now').waitFor();
});

test('a viewer is not offered what viewers may not do', async () => {
  fixture.role = 'viewer';
  await shell.open('containers');
  await page.getByRole('link', { name: 'web-01' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /Start|Stop|Restart/ }).count(), 0);
  await shell.open('tools', 'container_create');
  assert.equal(await page.getByRole('button', { name: 'Plan…' }).isDisabled(), true);
});
