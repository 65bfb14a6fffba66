// js-libp2p and the npm package in a page of Chromium, dialing every listener over WebSocket.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { launch, openPage } from '../lib/browser.mjs'
import { failures, listen, missing, peers } from '../lib/peers.mjs'

const dialers = {
  'js-chromium': Object.keys(peers).filter((name) => name.startsWith('polypeer')),
  'polypeer-chromium': Object.keys(peers),
}

let browser
before(async () => {
  browser = await launch()
})
after(() => browser?.close())

for (const [dialer, listeners] of Object.entries(dialers)) {
  describe(`${dialer} dials`, () => {
    let page
    before(async () => {
      page = await openPage(browser, dialer.replace('-chromium', ''))
    })
    after(() => page?.close())
    for (const listener of listeners) {
      test(`${listener} over ws`, { skip: missing(listener), timeout: 180_000 }, async () => {
        const { address, close } = await listen(listener, 'ws')
        try {
          const report = await page.run('dial', address, { agent: peers[listener].agent })
          assert.deepEqual(failures(report), [])
        } finally {
          await close()
        }
      })
    }
  })
}
