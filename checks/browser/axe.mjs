/** What a program can find of faults in a page's accessibility. */
import assert from 'node:assert/strict';
import { AxeBuilder } from '@axe-core/playwright';

/** Everything that WCAG 2.2 AA and good practice ask for and a program can find. */
const ALL = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/**
 * Fails if axe finds something. In dark only the contrast can be another than in light.
 * @param {import('playwright-core').Page} page
 * @param {string} what is looked at
 * @param {'light' | 'dark'} colorScheme
 */
export async function sound(page, what, colorScheme) {
  // There are no frames: no page of axe's own is needed to put their findings together.
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const { violations } = await (colorScheme === 'light' ? axe.withTags(ALL) : axe.withRules('color-contrast')).analyze();
  assert.deepEqual(violations.map(({ id, nodes }) => `${what}: ${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 120)} ${failureSummary}`).join(' | ')}`), []);
}
