// Stores of records in browsers.
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { inEachBrowser } from '../../tests/lib/browsers.mjs'
import { openSite } from './browser/site.mjs'
import { names } from './record-stores.mjs'

inEachBrowser('records', { timeout: 300_000 }, (browser) => {
  let site
  let page
  const inPage = (name, ...args) =>
    page.evaluate(([name, args]) => globalThis.inPage(name, ...args), [name, args])

  before(async () => {
    site = await openSite(browser, ['records'])
    page = await site.open('records')
  })

  after(() => site?.close())

  for (const name of names) {
    it(`indexedDbRecordStore: ${name}`, () => inPage('indexedDb', name))
    it(`memoryRecordStore: ${name}`, () => inPage('memory', name))
  }

  it('is shared by stores of one name', async () => {
    const all = Array.from({ length: 40 }, (_, index) => 39 - index)
    assert.deepEqual(await inPage('shared'), [all, all])
  })

  it('is whole when a page ends', async () => {
    for (let time = 0; time < 5; time++) {
      await inPage('write', 50)
      // It may be kept as it stands, to be gone back to.
      await page.goto('about:blank')
      page = await site.open('records')
      const found = await inPage('recall')
      assert.equal(found.length, 50)
      assert.equal(new Set(found).size, 1, `half of a write: ${found}`)
    }
  })

  it('says what cannot be had', async () => {
    assert.equal(await inPage('unsupported'), 'ERR_UNSUPPORTED')
    assert.equal(await inPage('closed'), 'ERR_RECORD_STORE')
    assert.deepEqual(site.problems, [])
  })
})
