// Pages in Firefox: to every listener over WebSocket and WebRTC direct, and to pages in
// Chromium through a relay.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openPage } from '../lib/browser.mjs'
import { inEachBrowser, openBrowser } from '../lib/browsers.mjs'
import { failures, listen, missing, peers } from '../lib/peers.mjs'

const timeout = 180_000
const agents = { js: peers['js-node'].agent, polypeer: peers['polypeer-native'].agent }

inEachBrowser('beside Chromium', { timeout: 900_000, only: ['Firefox'] }, (name) => {
  const browsers = {}
  before(async () => {
    for (const one of [name, 'Chromium']) browsers[one] = await openBrowser(one)
  })
  after(async () => {
    for (const browser of Object.values(browsers)) await browser.close()
  })

  for (const transport of ['ws', 'webrtc-direct']) {
    for (const listener of Object.keys(peers)) {
      test(`a page dials ${listener} over ${transport}`, { skip: missing(listener), timeout }, async () => {
        const { address, close } = await listen(listener, transport)
        const page = await openPage(browsers[name], 'polypeer', 'page')
        try {
          const report = await page.run('dial', address, { agent: peers[listener].agent })
          assert.deepEqual(failures(report), [])
        } finally {
          await page.close()
          await close()
        }
      })
    }
  }

  for (const [listening, listener, dialing, dialer] of [
    [name, 'polypeer', 'Chromium', 'polypeer'],
    ['Chromium', 'polypeer', name, 'polypeer'],
    ['Chromium', 'js', name, 'polypeer'],
    [name, 'polypeer', 'Chromium', 'js'],
  ]) {
    test(`a page of ${dialer} in ${dialing} dials one of ${listener} in ${listening}`, {
      timeout,
    }, async () => {
      const relay = await listen('polypeer-native', 'ws', { command: 'relay' })
      const there = await openPage(browsers[listening], listener, 'page')
      const here = await openPage(browsers[dialing], dialer, 'page')
      try {
        const places = ['/webrtc', `${relay.address}/p2p-circuit`]
        const address = await there.run('listen', places, '/p2p-circuit/webrtc/p2p/')
        const report = await here.run('dial', address, { agent: agents[listener] })
        assert.deepEqual(failures(report), [])
      } finally {
        await here.close()
        await there.close()
        await relay.close()
      }
    })
  }
})
