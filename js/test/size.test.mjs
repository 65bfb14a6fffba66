// What a page loads stays within its budgets.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

test('no page is larger than its budget', () => {
  const script = fileURLToPath(new URL('../scripts/size.mjs', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--json'], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const { bundles } = JSON.parse(stdout)
  assert.ok(bundles.mini.brotli < bundles.page.brotli && bundles.page.brotli < bundles.full.brotli)
})
